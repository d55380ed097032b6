//! What a consumer has read and not yet handled, by partition: at most one piece of work at a time for each.

use std::collections::{HashMap, VecDeque};

use sentinel_domain::time::Timestamp;

use super::dead_letters::Letter;

/// Records of one piece of work.
const PIECE: usize = 256;
/// Records that may wait before no more are fetched.
const ENOUGH: usize = 1024;
/// Records that may wait when fetching goes on.
const FEW: usize = 256;

/// An assignment of a partition to this consumer. Work of an older one no longer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) partition: i32,
    number: u64,
}

/// All partitions that this consumer has something of.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    all: HashMap<i32, Partition>,
    number: u64,
}

#[derive(Debug)]
struct Partition {
    number: u64,
    waiting: VecDeque<Letter>,
    busy: bool,
    /// When the first event of the work that it is at happened.
    oldest: Option<Timestamp>,
    paused: bool,
}

impl Partitions {
    /// When the oldest event happened that was read and is not handled. What waits in a partition is younger than what it is at.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.all.values().filter_map(|partition| partition.oldest).min()
    }

    /// Keeps a record for its turn; `true` when fetching of its partition must pause.
    pub(super) fn push(&mut self, letter: Letter) -> bool {
        let number = &mut self.number;
        let partition = self.all.entry(letter.partition).or_insert_with(|| {
            *number += 1;
            Partition { number: *number, waiting: VecDeque::new(), busy: false, oldest: None, paused: false }
        });
        partition.waiting.push_back(letter);
        let pause = !partition.paused && partition.waiting.len() >= ENOUGH;
        partition.paused |= pause;
        pause
    }

    /// The next work of a partition, unless it has none or is at it.
    pub(super) fn next(&mut self, id: i32) -> Option<(Assignment, Vec<Letter>)> {
        let partition = self.all.get_mut(&id).filter(|partition| !partition.busy && !partition.waiting.is_empty())?;
        partition.busy = true;
        let piece = partition.waiting.len().min(PIECE);
        let letters: Vec<Letter> = partition.waiting.drain(..piece).collect();
        partition.oldest = letters.iter().find_map(Letter::happened_at);
        Some((Assignment { partition: id, number: partition.number }, letters))
    }

    /// Takes note that work is done; `false` when it was for an assignment that is over.
    pub(super) fn done(&mut self, assignment: Assignment) -> bool {
        match self.all.get_mut(&assignment.partition) {
            Some(partition) if partition.number == assignment.number => {
                partition.busy = false;
                partition.oldest = None;
                true
            }
            _ => false,
        }
    }

    /// Whether a paused partition may go on fetching; it counts as going on from then.
    pub(super) fn resumes(&mut self, id: i32) -> bool {
        let Some(partition) = self.all.get_mut(&id) else { return false };
        let resumes = partition.paused && partition.waiting.len() <= FEW;
        partition.paused &= !resumes;
        resumes
    }

    /// Forgets a partition that another consumer gets. `true`: it is paused, and the client would keep that for the day
    /// when it comes back.
    pub(super) fn revoke(&mut self, id: i32) -> bool {
        self.all.remove(&id).is_some_and(|partition| partition.paused)
    }
}

#[cfg(test)]
mod tests {
    use sentinel_domain::{
        clock::Instant,
        ids::{ChatId, EventId, UserId},
        outbox::{Change, PlatformEvent},
    };
    use uuid::Uuid;

    use super::*;

    fn letter(partition: i32, offset: i64) -> Letter {
        Letter { partition, offset, key: Vec::new(), payload: Vec::new() }
    }

    #[test]
    fn a_partition_works_on_one_piece_at_a_time_in_order() {
        let mut partitions = Partitions::default();
        for offset in 0..300 {
            assert!(!partitions.push(letter(1, offset)));
        }
        partitions.push(letter(2, 7));
        let (first, piece) = partitions.next(1).unwrap();
        assert!(piece.iter().map(|letter| letter.offset).eq(0..256));
        assert!(partitions.next(1).is_none(), "it is busy");
        assert!(partitions.next(2).is_some(), "the other is not");
        assert!(partitions.done(first));
        let (_, piece) = partitions.next(1).unwrap();
        assert!(piece.iter().map(|letter| letter.offset).eq(256..300));
        assert!(partitions.next(3).is_none());
    }

    #[test]
    fn work_of_a_revoked_partition_no_longer_counts() {
        let mut partitions = Partitions::default();
        partitions.push(letter(1, 0));
        let (before, _) = partitions.next(1).unwrap();
        assert!(!partitions.revoke(1));
        assert!(!partitions.done(before));
        partitions.push(letter(1, 0));
        assert!(!partitions.done(before), "the partition came back, the old work did not");
        let (again, piece) = partitions.next(1).unwrap();
        assert_eq!(piece, [letter(1, 0)]);
        assert!(partitions.done(again));
    }

    #[test]
    fn a_full_partition_pauses_once_and_resumes_once() {
        let mut partitions = Partitions::default();
        let pauses = (0..1200).filter(|offset| partitions.push(letter(1, *offset))).count();
        assert_eq!(pauses, 1);
        let mut resumed = 0;
        while let Some((assignment, _)) = partitions.next(1) {
            resumed += usize::from(partitions.resumes(1));
            partitions.done(assignment);
        }
        assert_eq!(resumed, 1);
        assert!(!partitions.resumes(2));
    }

    #[test]
    fn a_paused_partition_that_is_revoked_must_be_resumed_once() {
        let mut partitions = Partitions::default();
        assert_eq!((0..1200).filter(|offset| partitions.push(letter(1, *offset))).count(), 1);
        assert!(partitions.revoke(1));
        assert!(!partitions.revoke(1), "it is gone");
        assert_eq!((0..1200).filter(|offset| partitions.push(letter(1, *offset))).count(), 1, "it may be paused again");
    }

    #[test]
    fn the_oldest_event_is_known_until_it_is_handled_or_anothers() {
        let event = |partition, offset, millis: u64| {
            let event = PlatformEvent {
                event_id: EventId(Instant { millis, counter: 0 }.id(0)),
                chat_id: ChatId(Uuid::nil()),
                members: [UserId(Uuid::nil()); 2],
                change: Change::ChatDeleted,
            };
            Letter { payload: serde_json::to_vec(&event).unwrap(), ..letter(partition, offset) }
        };
        let mut partitions = Partitions::default();
        assert_eq!(partitions.oldest(), None);
        partitions.push(letter(1, 0));
        partitions.push(event(1, 1, 5_000));
        partitions.push(event(2, 0, 3_000));
        let (one, _) = partitions.next(1).unwrap();
        assert_eq!(partitions.oldest(), Some(Timestamp(5_000)), "what is no event has no time");
        partitions.next(2).unwrap();
        assert_eq!(partitions.oldest(), Some(Timestamp(3_000)));
        partitions.push(event(1, 2, 6_000));
        partitions.revoke(2);
        assert_eq!(partitions.oldest(), Some(Timestamp(5_000)));
        partitions.done(one);
        assert_eq!(partitions.oldest(), None);
        partitions.next(1).unwrap();
        assert_eq!(partitions.oldest(), Some(Timestamp(6_000)));
    }
}
