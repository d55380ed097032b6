//! How far sockets here were lately shown that members got, so that nothing goes back for them.
//!
//! Two devices of a member may say at the same time what they received and read. Each call computes the marks from what it
//! read before, so the later event may say less than the one before it; what an inbox said some time ago may, too.

use std::collections::HashMap;

use sentinel_domain::{
    ids::{ChatId, UserId},
    watermark::Watermarks,
};

/// Marks that are remembered, at least and half of the most there may be: of the last seconds of a busy node, in some MiB.
/// Events of one member that overtake each other come within the time that a write may take.
const REMEMBERED: usize = 20_000;

/// Who is shown it, the chat, and whose marks they are.
type Key = (UserId, ChatId, UserId);

/// The furthest marks that were shown lately.
pub(crate) struct ShownMarks {
    recent: HashMap<Key, Watermarks>,
    before: HashMap<Key, Watermarks>,
    least: usize,
}

impl Default for ShownMarks {
    fn default() -> Self {
        Self::remembering(REMEMBERED)
    }
}

impl ShownMarks {
    fn remembering(least: usize) -> Self {
        Self { recent: HashMap::new(), before: HashMap::new(), least }
    }

    /// What `viewer` is to be shown of a member who got so far: no less than the last time.
    pub fn raised(&mut self, viewer: UserId, chat: ChatId, member: UserId, marks: Watermarks) -> Watermarks {
        let key = (viewer, chat, member);
        let shown = self.recent.get(&key).or_else(|| self.before.get(&key)).copied().unwrap_or_default();
        let marks = marks.merged(shown);
        if self.recent.len() >= self.least {
            self.before = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, marks);
        marks
    }
}

#[cfg(test)]
mod tests {
    use sentinel_domain::ids::MessageId;
    use uuid::Uuid;

    use super::*;

    fn marks(delivered: u128, read: u128) -> Watermarks {
        let id = |number| (number > 0).then_some(MessageId(Uuid::from_u128(number)));
        Watermarks { delivered_up_to: id(delivered), read_up_to: id(read) }
    }

    #[test]
    fn nobody_is_shown_less_than_before_and_each_viewer_has_what_it_was_shown() {
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let chat = ChatId::of_pair(ann, bob);
        let mut shown = ShownMarks::default();
        // The desk read while the phone received: each knew of the fifth only.
        assert_eq!(shown.raised(ann, chat, bob, marks(6, 6)), marks(6, 6));
        assert_eq!(shown.raised(ann, chat, bob, marks(6, 5)), marks(6, 6));
        assert_eq!(shown.raised(ann, chat, bob, marks(7, 5)), marks(7, 6));
        // Behind a block only his own devices get to see how far he is.
        assert_eq!(shown.raised(bob, chat, bob, marks(9, 9)), marks(9, 9));
        assert_eq!(shown.raised(ann, chat, bob, marks(7, 7)), marks(7, 7));
        assert_eq!(shown.raised(bob, chat, ann, marks(1, 0)), marks(1, 0));
    }

    #[test]
    fn the_latest_are_remembered_and_no_more_than_twice_as_many() {
        let user = |number| UserId(Uuid::from_u128(number));
        let (chat, mut shown) = (ChatId(Uuid::nil()), ShownMarks::remembering(10));
        for number in 0..100 {
            shown.raised(user(number), chat, user(0), marks(5, 5));
            assert!(shown.recent.len() + shown.before.len() <= 20);
        }
        for number in 90..100 {
            assert_eq!(shown.raised(user(number), chat, user(0), marks(1, 1)), marks(5, 5));
        }
    }
}
