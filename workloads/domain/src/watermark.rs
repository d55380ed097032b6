//! How far a member of a chat has received and read. Watermarks only rise.

use serde::{Deserialize, Serialize};

use crate::ids::MessageId;

/// What a member says about a message and all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A device of the member has it.
    Delivered,
    /// The member has seen it; implies delivered.
    Read,
}

/// The watermarks of one member of one chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermarks {
    /// Newest message that a device of the member has.
    pub delivered_up_to: Option<MessageId>,
    /// Newest message that the member has seen.
    pub read_up_to: Option<MessageId>,
}

impl Watermarks {
    /// These watermarks raised to `id`; unchanged where they are already there or beyond.
    #[must_use]
    pub fn advanced(self, progress: Progress, id: MessageId) -> Self {
        Self {
            delivered_up_to: self.delivered_up_to.max(Some(id)),
            read_up_to: match progress {
                Progress::Delivered => self.read_up_to,
                Progress::Read => self.read_up_to.max(Some(id)),
            },
        }
    }

    /// The further of both, for each mark.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self {
            delivered_up_to: self.delivered_up_to.max(other.delivered_up_to),
            read_up_to: self.read_up_to.max(other.read_up_to),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn watermarks_never_go_back_and_read_implies_delivered(
            steps in prop::collection::vec((any::<bool>(), any::<u128>()), 0..50)
        ) {
            let mut marks = Watermarks::default();
            for (read, id) in steps {
                let progress = if read { Progress::Read } else { Progress::Delivered };
                let next = marks.advanced(progress, MessageId(Uuid::from_u128(id)));
                prop_assert!(next.delivered_up_to >= marks.delivered_up_to);
                prop_assert!(next.read_up_to >= marks.read_up_to);
                prop_assert!(next.delivered_up_to >= next.read_up_to);
                marks = next;
            }
        }
    }
}
