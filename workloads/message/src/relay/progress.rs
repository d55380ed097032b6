//! How far a shard has been relayed, and what to read next. Pure: time and events come in, decisions go out.
//!
//! An event's place in the outbox is its id, and events appear nearly but not quite in the order of their ids: another
//! node's clock may be behind, a write may have been delayed. So recent minutes are read again, the more seldom the older
//! they are, and what is found there for the first time goes to the log late. A minute that is older than [`SETTLED`]
//! gets nothing more and is dropped whole.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use sentinel_domain::{clock, ids::EventId, outbox::PlatformEvent, time::Timestamp};

/// Age at which a minute gets no more events.
pub(super) const SETTLED: Duration = Duration::from_mins(10);
/// How far before the newest event a quick look begins.
const OVERLAP: Duration = Duration::from_secs(2);
/// Shortest time between two whole reads of a minute.
const REREAD: Duration = Duration::from_secs(10);
/// Minutes that the clock of a node may be ahead of the newest id that is known here.
const AHEAD: i64 = 1;
/// Minutes that ids may be ahead at all: what is further is relayed when its time has come, not looked for all the time.
const AHEAD_AT_MOST: i64 = 10;
/// How long the outbox keeps what nobody fetched, which is as far as there can be something.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// Minutes of one plan.
pub(super) const PLAN: usize = 32;

const MINUTE: i64 = 60_000;

/// What to read: a minute after an event, or whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) minute: i64,
    pub(super) after: Option<EventId>,
}

/// How far a shard is.
#[derive(Debug)]
pub(super) struct Progress {
    /// All minutes before this one are done.
    first: i64,
    minutes: BTreeMap<i64, Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    relayed: HashSet<EventId>,
    newest: Option<EventId>,
    /// When it was last read whole.
    read: Option<Timestamp>,
}

impl Progress {
    /// Begins at the first minute that was not dropped; when none ever was, with the oldest that can be there.
    pub(super) fn new(first: Option<i64>, now: Timestamp) -> Self {
        Self { first: first.unwrap_or_else(|| minute_of(now.0 - millis(KEPT))), minutes: BTreeMap::new() }
    }

    /// Passes over the minutes of which something has ended by its age. Before long all of it has, and is tombstones, and a read
    /// fails that meets many of these: a shard that is so far behind would stay as far behind.
    pub(super) fn pass_over_ended(&mut self, now: Timestamp) {
        self.dropped(minute_of(now.0 - millis(KEPT)));
    }

    /// What to read now, oldest first. `newest` is the time of the newest id: a node whose clock is ahead puts what happens
    /// there, and what others do after it, into minutes that are yet to come.
    pub(super) fn plan(&self, now: Timestamp, newest: Timestamp) -> Vec<Scan> {
        let here = minute_of(now.0);
        let last = minute_of(newest.0).clamp(here, here + AHEAD_AT_MOST) + AHEAD;
        (self.first..=last).filter_map(|minute| self.scan(minute, now)).take(PLAN).collect()
    }

    fn scan(&self, minute: i64, now: Timestamp) -> Option<Scan> {
        let known = self.minutes.get(&minute);
        let Some((known, read)) = known.and_then(|known| Some((known, known.read?))) else {
            return Some(Scan { minute, after: None });
        };
        // Double the time after each: what has been quiet for long is likely to stay so.
        let pause = (read.0 - end_of(minute)).clamp(millis(REREAD), millis(SETTLED));
        let due = (read.0 + pause).min(end_of(minute) + millis(SETTLED));
        if now.0 >= due && read.0 < end_of(minute) + millis(SETTLED) {
            return Some(Scan { minute, after: None });
        }
        // The quick look, while the minute lasts and a little longer.
        let lively = now.0 < end_of(minute) + millis(OVERLAP) + millis(REREAD);
        lively.then(|| Scan { minute, after: known.newest.map(overlapping) })
    }

    /// Those of these events that were not relayed yet.
    pub(super) fn fresh(&self, minute: i64, events: Vec<PlatformEvent>) -> Vec<PlatformEvent> {
        let Some(known) = self.minutes.get(&minute) else { return events };
        events.into_iter().filter(|event| !known.relayed.contains(&event.event_id)).collect()
    }

    /// Takes note that the log has these events.
    pub(super) fn relayed(&mut self, minute: i64, events: &[PlatformEvent]) {
        let known = self.minutes.entry(minute).or_default();
        known.relayed.extend(events.iter().map(|event| event.event_id));
        known.newest = known.newest.max(events.iter().map(|event| event.event_id).max());
    }

    /// Takes note that a scan was carried out to its end, having begun at `now`.
    pub(super) fn scanned(&mut self, scan: Scan, now: Timestamp) {
        let known = self.minutes.entry(scan.minute).or_default();
        if scan.after.is_none() {
            known.read = Some(now);
        }
    }

    /// Minutes that may be dropped, in this order: those that had events, and the last of all that are done, from which
    /// on the next replica goes on.
    pub(super) fn droppable(&self) -> Vec<i64> {
        let settled = |known: &Minute, minute| known.read.is_some_and(|at| at.0 >= end_of(minute) + millis(SETTLED));
        let mut droppable = Vec::new();
        for minute in self.first.. {
            if !self.minutes.get(&minute).is_some_and(|known| settled(known, minute)) {
                break;
            }
            // One without events need not be dropped for itself.
            if droppable.last().is_some_and(|last| self.minutes[last].relayed.is_empty()) {
                droppable.pop();
            }
            droppable.push(minute);
        }
        droppable
    }

    /// Takes note that a minute was dropped, or ended, and those before it.
    pub(super) fn dropped(&mut self, minute: i64) {
        self.first = self.first.max(minute + 1);
        self.minutes = self.minutes.split_off(&self.first);
    }
}

/// Somewhat before an event.
fn overlapping(id: EventId) -> EventId {
    let millis = clock::Instant::of(id.0).millis.saturating_sub(millis(OVERLAP).unsigned_abs());
    EventId(clock::Instant { millis, counter: 0 }.id(0))
}

fn minute_of(millis: i64) -> i64 {
    millis.div_euclid(MINUTE)
}

fn end_of(minute: i64) -> i64 {
    minute.saturating_add(1).saturating_mul(MINUTE)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use sentinel_domain::{
        ids::{ChatId, UserId},
        outbox::Change,
    };
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp(30_000_000 * MINUTE + 30_000);
    const HERE: i64 = 30_000_000;

    fn event(millis: i64) -> PlatformEvent {
        let user = UserId(Uuid::nil());
        let millis = millis.unsigned_abs();
        PlatformEvent {
            event_id: EventId(clock::Instant { millis, counter: 1 }.id(7)),
            chat_id: ChatId(Uuid::nil()),
            members: [user, user],
            change: Change::ChatDeleted,
        }
    }

    fn carry_out(progress: &mut Progress, now: Timestamp) -> Vec<Scan> {
        let plan = progress.plan(now, now);
        for scan in &plan {
            progress.scanned(*scan, now);
        }
        plan
    }

    #[test]
    fn a_backlog_is_read_whole_from_the_oldest_on() {
        let mut progress = Progress::new(Some(HERE - 100), NOW);
        let plan = carry_out(&mut progress, NOW);
        let expected = (HERE - 100..HERE - 68).map(|minute| Scan { minute, after: None });
        assert!(plan.iter().copied().eq(expected), "{plan:?}");
        // None had events, so the last stands for all.
        assert_eq!(progress.droppable(), [HERE - 69]);
        progress.dropped(HERE - 69);
        assert_eq!(progress.plan(NOW, NOW)[0], Scan { minute: HERE - 68, after: None });
        assert_eq!(Progress::new(None, NOW).plan(NOW, NOW)[0].minute, HERE - 7 * 24 * 60);
    }

    #[test]
    fn what_waited_for_too_long_is_passed_over_and_nothing_else() {
        for (first, expected) in [(HERE - 9 * 24 * 60, HERE - 7 * 24 * 60 + 1), (HERE - 100, HERE - 100)] {
            let mut progress = Progress::new(Some(first), NOW);
            progress.pass_over_ended(NOW);
            assert_eq!(progress.plan(NOW, NOW)[0], Scan { minute: expected, after: None });
        }
    }

    #[test]
    fn minutes_with_events_are_each_dropped() {
        let mut progress = Progress::new(Some(HERE - 20), NOW);
        for minute in [HERE - 20, HERE - 18, HERE - 17] {
            progress.relayed(minute, &[event(minute * MINUTE)]);
        }
        carry_out(&mut progress, NOW);
        assert_eq!(progress.droppable(), [HERE - 20, HERE - 18, HERE - 17, HERE - 11]);
    }

    #[test]
    fn a_minute_is_dropped_only_when_it_was_read_after_it_settled() {
        let mut progress = Progress::new(Some(HERE), NOW);
        carry_out(&mut progress, NOW);
        assert_eq!(progress.droppable(), Vec::<i64>::new());
        let settled = Timestamp(end_of(HERE) + millis(SETTLED));
        let just_before = Timestamp(settled.0 - 1);
        carry_out(&mut progress, just_before);
        assert_eq!(progress.droppable(), Vec::<i64>::new());
        assert_eq!(progress.plan(settled, settled)[0], Scan { minute: HERE, after: None });
        carry_out(&mut progress, settled);
        assert_eq!(progress.droppable(), [HERE]);
    }

    #[test]
    fn recent_minutes_are_read_again_more_and_more_seldom() {
        let mut progress = Progress::new(Some(HERE), NOW);
        // Where nothing is known, a quick look is a whole read too.
        progress.relayed(HERE, &[event(HERE * MINUTE)]);
        let mut whole = Vec::new();
        for second in 0..660 {
            let now = Timestamp(HERE * MINUTE + second * 1000);
            let plan = carry_out(&mut progress, now);
            if plan.contains(&Scan { minute: HERE, after: None }) {
                whole.push(second);
            }
        }
        assert_eq!(whole[..7], [0, 10, 20, 30, 40, 50, 60], "every ten seconds while it lasts");
        assert_eq!(whole[7..], [70, 80, 100, 140, 220, 380]);
    }

    #[test]
    fn a_quick_look_overlaps_what_is_known() {
        let mut progress = Progress::new(Some(HERE), NOW);
        let newest = event(NOW.0 - 500);
        progress.relayed(HERE, std::slice::from_ref(&newest));
        carry_out(&mut progress, NOW);
        let now = Timestamp(NOW.0 + 200);
        let plan = progress.plan(now, now);
        let after = plan[0].after.unwrap();
        assert_eq!(plan[0].minute, HERE);
        assert_eq!(after.timestamp(), Timestamp(newest.event_id.timestamp().0 - 2000));
        assert!(plan.iter().all(|scan| scan.minute >= HERE));
    }

    #[test]
    fn minutes_to_come_are_read_when_there_are_ids_of_them() {
        let progress = Progress::new(Some(HERE), NOW);
        let last = |seconds| progress.plan(NOW, NOW.plus_seconds(seconds)).last().unwrap().minute;
        assert_eq!(last(-3600), HERE + 1);
        assert_eq!(last(0), HERE + 1);
        assert_eq!(last(4 * 60), HERE + 5);
        assert_eq!(last(365 * 24 * 3600), HERE + 11, "not all minutes of a year are read");
    }

    #[test]
    fn what_was_relayed_is_not_fresh() {
        let mut progress = Progress::new(Some(HERE), NOW);
        let (early, late) = (event(NOW.0), event(NOW.0 - 3000));
        assert_eq!(progress.fresh(HERE, vec![early.clone()]), std::slice::from_ref(&early));
        progress.relayed(HERE, std::slice::from_ref(&early));
        assert_eq!(progress.fresh(HERE, vec![late.clone(), early]), [late]);
    }
}
