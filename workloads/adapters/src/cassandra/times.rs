//! What follows from an id's time: the partition of what it names, and the write time of its cells.

use sentinel_domain::{
    clock::Instant,
    ids::{EventId, MessageId},
    retention::Horizon,
    time::Timestamp,
};
use uuid::{Uuid, Variant};

const DAY_MILLIS: u64 = 24 * 3600 * 1000;
/// Messages of one chat that share a partition: 100 MB are 600 messages of full size or 30,000 ordinary ones a day.
const MESSAGE_BUCKET: u64 = 10 * DAY_MILLIS;
/// Events of one inbox that share a partition: at about 100 bytes each, a million are 100 MB.
pub(super) const INBOX_BUCKET: u64 = 7 * DAY_MILLIS;
const MINUTE_MILLIS: u64 = 60_000;
const MICROS: i64 = 1000;
/// How far a process may be off with its clock, or behind with a write: an hour.
const BEHIND_MILLIS: u64 = 60 * MINUTE_MILLIS;
/// How far another's clock may be ahead.
const AHEAD_SECONDS: i64 = 60;
/// The longest time that Cassandra keeps what is to end: 20 years.
const LONGEST_SECONDS: i64 = 20 * 365 * 24 * 3600;
/// The counter of an id has 12 bits, a millisecond has 1,000 microseconds.
const COUNTERS: i64 = 1 << 12;
const COUNTER_MAX: u16 = u16::MAX >> 4;

/// How long what is written is kept, as Cassandra takes it; for constants, so that one which does not fit is not built.
#[allow(clippy::cast_possible_truncation)] // checked in its first line
pub(super) const fn ttl(seconds: i64) -> i32 {
    assert!(0 < seconds && seconds <= LONGEST_SECONDS);
    seconds as i32
}

/// The write time, in microseconds, of cells that an id's event writes. It rises with the ids; four neighbours share one,
/// and then Cassandra keeps the greater value.
pub(super) fn write_time(id: Uuid) -> i64 {
    let Instant { millis, counter } = Instant::of(id);
    millis.cast_signed() * 1000 + i64::from(counter) * 1000 / COUNTERS
}

/// When a cell was written that has this write time.
pub(super) fn time_of(write_time: i64) -> Timestamp {
    Timestamp(write_time / MICROS)
}

/// An id whose successors' cells are written after one that has this write time.
pub(super) fn id_at(write_time: i64) -> Uuid {
    let millis = u64::try_from(write_time / 1000).unwrap_or(0);
    Instant { millis, counter: COUNTER_MAX }.id(0)
}

/// The write time of what must outlive whatever is written around the time of `id`.
pub(super) fn final_write_time(id: Uuid) -> i64 {
    write_time(id) + 60_000_000
}

/// The write time of the end of what nobody writes again, after all that was written by a process whose clock is ahead.
pub(super) fn ending_time(now: Timestamp) -> i64 {
    now.plus_seconds(AHEAD_SECONDS).0.saturating_mul(MICROS)
}

/// The write time of a cell of which the first value stays. It falls as time goes on, and is before every other.
pub(super) fn first_write_time(now: Timestamp) -> i64 {
    /// The year 2096 in milliseconds.
    const LAST: i64 = 4_000_000_000_000;
    (LAST - now.0).max(1)
}

/// The write time of what takes the place of a cell that was written at `before`, be that by a process whose clock is ahead.
pub(super) fn next_write_time(now: Timestamp, before: Option<i64>) -> i64 {
    now.0.saturating_mul(MICROS).max(before.map_or(0, |before| before.saturating_add(1)))
}

/// The partition of a message within its chat.
pub(super) fn message_bucket(id: MessageId) -> i32 {
    bucket(id.0, MESSAGE_BUCKET)
}

/// The first partition that may have messages which are kept, or which somebody whose clock is behind takes for kept.
pub(super) fn first_kept_bucket(horizon: Horizon) -> i32 {
    let millis = u64::try_from(horizon.time().0).unwrap_or(0).saturating_sub(BEHIND_MILLIS);
    bucket(Instant { millis, counter: 0 }.id(0), MESSAGE_BUCKET)
}

/// The partition of an event within an inbox.
pub(super) fn inbox_bucket(id: EventId) -> i32 {
    bucket(id.0, INBOX_BUCKET)
}

/// The minute of an event since 1970.
pub(super) fn minute(id: EventId) -> i64 {
    (Instant::of(id.0).millis / MINUTE_MILLIS).cast_signed()
}

fn bucket(id: Uuid, width: u64) -> i32 {
    // 48 bits of milliseconds are 400,000 weeks.
    i32::try_from(Instant::of(id).millis / width).unwrap_or(i32::MAX)
}

/// The bound that stands at the same place among ids of the clock as `id` does by its bytes. A client may ask from any
/// UUID, and Cassandra would put those of another version before or after all.
pub(super) fn bound(id: MessageId) -> MessageId {
    if id.0.get_version_num() == 7 && id.0.get_variant() == Variant::RFC4122 {
        return id;
    }
    let Instant { millis, counter } = Instant::of(id.0);
    let bound = match id.0.get_version_num().cmp(&7) {
        std::cmp::Ordering::Less => Instant { millis, counter: 0 }.id(0),
        std::cmp::Ordering::Greater => Instant { millis, counter: COUNTER_MAX }.id(u64::MAX),
        std::cmp::Ordering::Equal if id.0.as_u64_pair().1 >> 62 < 0b10 => Instant { millis, counter }.id(0),
        std::cmp::Ordering::Equal => Instant { millis, counter }.id(u64::MAX),
    };
    MessageId(bound)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sentinel_domain::{clock::HybridClock, retention::MessageRetention};

    use super::*;

    #[test]
    fn buckets_follow_the_time_of_the_id() {
        let id = |millis| Instant { millis, counter: 0 }.id(1);
        assert_eq!(message_bucket(MessageId(id(MESSAGE_BUCKET * 3 - 1))), 2);
        assert_eq!(message_bucket(MessageId(id(MESSAGE_BUCKET * 3))), 3);
        assert_eq!(inbox_bucket(EventId(id(INBOX_BUCKET * 5 + 1))), 5);
        assert_eq!(minute(EventId(id(59_999))), 0);
        assert!(message_bucket(MessageId(Uuid::max())) > 0);
    }

    #[test]
    fn a_partition_goes_when_the_last_of_it_is_an_hour_too_old() {
        let border = Timestamp((MESSAGE_BUCKET * 3).cast_signed());
        let retention = MessageRetention::seconds(10);
        let kept = |seconds: i64| first_kept_bucket(retention.horizon(border.plus_seconds(10 + seconds)));
        assert_eq!([-1, 0, 3599, 3600, 863_999].map(kept), [2, 2, 2, 3, 3]);
        assert_eq!(first_kept_bucket(Horizon::NONE), 0);
    }

    #[test]
    fn a_later_write_is_later_whoever_wrote_before() {
        let now = Timestamp(1_750_000_000_000);
        assert_eq!(next_write_time(now, None), 1_750_000_000_000_000);
        assert_eq!(next_write_time(now, Some(1_749_999_999_000_000)), 1_750_000_000_000_000);
        for before in [1_750_000_000_000_000, 1_750_000_005_000_000] {
            assert_eq!(next_write_time(now, Some(before)), before + 1);
        }
    }

    #[test]
    fn the_first_write_stays() {
        assert!(first_write_time(Timestamp(1_750_000_000_000)) > first_write_time(Timestamp(1_750_000_000_001)));
        assert!(
            first_write_time(Timestamp(1_750_000_000_000))
                < write_time(Instant { millis: 1_750_000_000_000, counter: 0 }.id(0))
        );
    }

    proptest! {
        #[test]
        fn write_times_rise_with_ids(a in (0_u64..1 << 47, 0_u16..4096), b in (0_u64..1 << 47, 0_u16..4096)) {
            let id = |(millis, counter)| Instant { millis, counter }.id(9);
            prop_assert!(id(a) > id(b) || write_time(id(a)) <= write_time(id(b)));
        }

        #[test]
        fn what_comes_after_a_cell_was_seen_is_written_after_it(
            millis in 0_u64..1 << 47, counter in 0_u16..4096, behind in 0_i64..1 << 40,
        ) {
            let seen = write_time(Instant { millis, counter }.id(9));
            let clock = HybridClock::new();
            clock.observe(id_at(seen));
            let next = clock.tick(Timestamp(millis.cast_signed() - behind));
            prop_assert!(write_time(next) > seen);
            prop_assert!(Instant::of(next).millis <= millis + 1, "the clock does not run ahead for it");
        }

        #[test]
        fn a_bound_stands_where_the_id_does(any in any::<u128>(), millis in 0_u64..1 << 48, counter in 0_u16..4096, near in any::<bool>()) {
            let any = Uuid::from_u128(any);
            let millis = if near { Instant::of(any).millis } else { millis };
            let id = Instant { millis, counter }.id(77);
            let bound = bound(MessageId(any));
            prop_assert_eq!(bound.0.get_version_num(), 7);
            prop_assert_eq!(any.cmp(&id), if bound.0 == id { any.cmp(&id) } else { bound.0.cmp(&id) });
        }
    }
}
