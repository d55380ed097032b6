//! Takes the last node of Cassandra or Elasticsearch away, when it has given its data to the others.
//!
//! The steps of one node, each of which waits for what it can be seen by:
//! 1. all nodes are ready: the store's ConfigMap names the node that is to leave;
//! 2. Cassandra: the node reads that, decommissions itself, and says so as it ends. Elasticsearch: the operator excludes
//!    the node from holding shards and from votes, until it holds none and all shards are complete elsewhere;
//! 3. its volume claim is deleted: a node that comes later must not begin with its data;
//! 4. the StatefulSet shrinks by one;
//! 5. the pod is gone: Elasticsearch forgets the exclusion, and the ConfigMap names the next node or none.
//!
//! A node that never had a volume, because it fits nowhere or its storage class does not exist, goes at once.
//!
//! A user who wants the node back before step 3 gets it back: Cassandra's node joins anew, Elasticsearch's is admitted
//! again. After that the node goes, and a new one comes.

use super::{
    copies,
    nodes::{Claim, Nodes},
    refusal,
};
use crate::{
    api::Store,
    providers::{Act, Scale},
};

/// Judges a change from `running` to `wanted` nodes.
pub(super) fn decide(store: Store, name: &str, nodes: &Nodes, running: i32, wanted: i32) -> Scale {
    let last = nodes.highest;
    let node = format!("{name}-{last}");
    let has_left = has_left(store, nodes, &node);
    let is_beyond = last >= running;
    if is_beyond {
        // Its pod is ending. It stays named until then: a node that is named no more would join again.
        let leaving = nodes.told.clone();
        let progress = leaving.is_some().then(|| format!("{node} has left and is ending"));
        let trouble = nodes.hangs_on.as_ref().map(|machine| {
            format!(
                "{node} has left, and its pod hangs on node {machine}; if that machine is off for good: kubectl delete pod \
                 {node} --force"
            )
        });
        return Scale { leaving, progress, trouble, ..Scale::of(running) };
    }
    if has_left && nodes.claim == Claim::Going {
        // Its volume is as good as gone, so it goes, too, even if more nodes are wanted by now.
        return leaving(last, &node, format!("{node} has left and is taken away"));
    }
    if let Some(told) = nodes.told.as_ref().filter(|told| is_done_with(told, &node, nodes, running, wanted, store)) {
        return readmit(told, running);
    }
    if wanted >= running {
        return Scale::of(wanted);
    }
    if wanted < copies(store, running) && !nodes.never_ran() {
        return Scale { refusal: Some(refusal(store, name, running, wanted)), ..Scale::of(running) };
    }
    let task = format!("{running} nodes become {wanted}: ");
    if has_left {
        return match nodes.claim {
            Claim::Kept => Scale {
                acts: vec![Act::DeleteClaim(format!("data-{node}"))],
                members: last,
                ..leaving(running, &node, format!("{task}{node} has left, its volume is deleted"))
            },
            // At once, or a pod that waits would get its claim anew.
            Claim::Empty => Scale {
                acts: vec![Act::DeleteClaim(format!("data-{node}"))],
                ..leaving(last, &node, format!("{task}{node} never ran and is taken away"))
            },
            Claim::None | Claim::Going => leaving(last, &node, format!("{task}{node} has left and is taken away")),
        };
    }
    if nodes.told.as_ref() != Some(&node) {
        if !nodes.settled {
            let progress = Some(format!("{task}{node} leaves when all nodes are ready"));
            return Scale { progress, ..Scale::of(running) };
        }
        return leaving(running, &node, format!("{task}{node} is told to give its data to the others"));
    }
    match store {
        Store::Elasticsearch => empty(nodes, &node, running, &task),
        _ => Scale {
            trouble: nodes.complaint.as_ref().map(|words| format!("{task}{node} {words}; it tries again")),
            ..leaving(running, &node, format!("{task}decommissioning {node}"))
        },
    }
}

fn leaving(replicas: i32, node: &str, progress: String) -> Scale {
    Scale { leaving: Some(node.to_owned()), progress: Some(progress), ..Scale::of(replicas) }
}

/// Whether a node has proved that nothing is lost without it.
fn has_left(store: Store, nodes: &Nodes, node: &str) -> bool {
    if nodes.never_ran() {
        return true;
    }
    match store {
        Store::Elasticsearch => match &nodes.search {
            Some(Ok(search)) => {
                // A node that is away seems to hold nothing. Once its volume goes, it need not come back.
                let is_seen = nodes.settled || nodes.claim == Claim::Going;
                let is_empty = search.shards(node) == 0 && search.unplaced() == 0;
                nodes.told.as_deref() == Some(node) && search.is_excluded(node) && is_seen && is_empty
            }
            _ => false,
        },
        _ => nodes.left,
    }
}

/// Whether Elasticsearch excludes a node that is gone or may stay.
fn is_done_with(told: &str, node: &str, nodes: &Nodes, running: i32, wanted: i32, store: Store) -> bool {
    let goes_on = told == node && wanted < running && wanted >= copies(store, running);
    let is_excluded = match &nodes.search {
        Some(Ok(search)) => search.is_partly_excluded(told),
        // Nobody knows: it stays on record until somebody does.
        Some(Err(_)) => true,
        None => false,
    };
    !goes_on && is_excluded
}

/// Takes back that `node` is to hold nothing; it is on record until that is seen to be done.
fn readmit(node: &str, running: i32) -> Scale {
    Scale { acts: vec![Act::Readmit(node.to_owned())], leaving: Some(node.to_owned()), ..Scale::of(running) }
}

/// Moves the shards of a node of Elasticsearch away.
fn empty(nodes: &Nodes, node: &str, running: i32, task: &str) -> Scale {
    match &nodes.search {
        Some(Ok(search)) if !search.is_excluded(node) => Scale {
            acts: vec![Act::Exclude(node.to_owned())],
            ..leaving(running, node, format!("{task}{node} is excluded from holding shards"))
        },
        Some(Ok(search)) => {
            let left = match (search.shards(node), search.unplaced()) {
                (0, 0) => "holds no shard and goes when all nodes are ready".to_owned(),
                (0, unplaced) => format!("goes when all shards are in place, {unplaced} are not"),
                (shards, _) => format!("gives its shards away, {shards} are left"),
            };
            leaving(running, node, format!("{task}{node} {left}"))
        }
        Some(Err(error)) => Scale {
            trouble: Some(format!(
                "{task}{node} cannot be emptied, because Elasticsearch does not answer the operator: {error}; do \
                 network policies let the operator connect?"
            )),
            ..leaving(running, node, format!("{task}{node} waits for Elasticsearch to answer"))
        },
        None => leaving(running, node, format!("{task}{node} gives its shards away")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::observe::search_nodes::SearchNodes;

    const SET: &str = "chat-x";

    fn node(ordinal: i32) -> String {
        format!("{SET}-{ordinal}")
    }

    /// Five ready nodes.
    fn five() -> Nodes {
        Nodes { running: Some(5), settled: true, highest: 4, claim: Claim::Kept, has_pod: true, ..Nodes::default() }
    }

    fn told(nodes: Nodes, ordinal: i32) -> Nodes {
        Nodes { told: Some(node(ordinal)), ..nodes }
    }

    fn cassandra(nodes: &Nodes, wanted: i32) -> Scale {
        decide(Store::Cassandra, SET, nodes, nodes.running.unwrap(), wanted)
    }

    fn search(nodes: &Nodes, wanted: i32) -> Scale {
        decide(Store::Elasticsearch, SET, nodes, nodes.running.unwrap(), wanted)
    }

    #[test]
    fn cassandra_loses_one_node_after_the_other_and_each_only_when_it_has_left() {
        let told_to = |scale: &Scale| scale.leaving.clone();
        let first = cassandra(&five(), 3);
        assert_eq!((first.replicas, told_to(&first), first.acts.len()), (5, Some(node(4)), 0));
        let decommissioning = cassandra(&told(five(), 4), 3);
        assert_eq!((decommissioning.replicas, told_to(&decommissioning)), (5, Some(node(4))));
        assert_eq!(decommissioning.progress.as_deref(), Some("5 nodes become 3: decommissioning chat-x-4"));

        let left = Nodes { left: true, settled: false, ..told(five(), 4) };
        let delete = cassandra(&left, 3);
        assert_eq!((delete.replicas, told_to(&delete)), (5, Some(node(4))), "the claim first");
        assert_eq!(delete.acts, [Act::DeleteClaim("data-chat-x-4".into())]);
        let shrink = cassandra(&Nodes { claim: Claim::Going, ..left.clone() }, 3);
        assert_eq!((shrink.replicas, told_to(&shrink)), (4, Some(node(4))));

        let ending = Nodes { running: Some(4), claim: Claim::Going, ..left };
        assert_eq!((cassandra(&ending, 3).replicas, told_to(&cassandra(&ending, 3))), (4, Some(node(4))));
        let lost = cassandra(&Nodes { hangs_on: Some("node-2".into()), ..ending }, 3);
        let trouble = lost.trouble.unwrap();
        assert!(
            trouble.contains("hangs on node node-2") && trouble.ends_with("delete pod chat-x-4 --force"),
            "{trouble}"
        );
        let gone = told(Nodes { running: Some(4), highest: 3, ..five() }, 4);
        assert_eq!(told_to(&cassandra(&gone, 3)), Some(node(3)));
        let done = told(Nodes { running: Some(3), highest: 2, ..five() }, 3);
        assert_eq!(cassandra(&done, 3), Scale::of(3));
    }

    #[test]
    fn a_node_is_told_only_when_all_are_ready() {
        let scale = cassandra(&Nodes { settled: false, ..five() }, 4);
        assert_eq!((scale.replicas, scale.leaving), (5, None));
        assert!(scale.progress.unwrap().contains("when all nodes are ready"));
    }

    #[test]
    fn a_node_that_is_wanted_again_is_told_no_more_unless_its_volume_is_going() {
        let left = Nodes { left: true, ..told(five(), 4) };
        assert_eq!(cassandra(&left, 5), Scale::of(5));
        let going = cassandra(&Nodes { claim: Claim::Going, ..left }, 5);
        assert_eq!((going.replicas, going.leaving), (4, Some(node(4))));
        // A claim that somebody else deletes is no proof.
        let deleted = cassandra(&Nodes { claim: Claim::Going, ..five() }, 5);
        assert_eq!(deleted, Scale::of(5));
    }

    #[test]
    fn nodes_that_never_ran_go_at_once_even_below_the_copies() {
        for store in [Store::Cassandra, Store::Elasticsearch] {
            let waiting = Nodes { running: Some(2), highest: 1, settled: false, claim: Claim::Empty, ..five() };
            let scale = decide(store, SET, &waiting, 2, 1);
            assert_eq!(
                (scale.replicas, &scale.acts),
                (1, &vec![Act::DeleteClaim("data-chat-x-1".into())]),
                "{store:?}"
            );
            let unmade = Nodes { running: Some(3), highest: 2, claim: Claim::None, has_pod: false, ..waiting };
            assert_eq!(decide(store, SET, &unmade, 3, 1).replicas, 2);
        }
    }

    #[test]
    fn a_node_that_cannot_leave_is_trouble_and_stays() {
        let complaint = Some("cannot leave the ring: stream failed".to_owned());
        let scale = cassandra(&Nodes { complaint, ..told(five(), 4) }, 4);
        assert_eq!((scale.replicas, scale.leaving), (5, Some(node(4))));
        assert!(scale.trouble.unwrap().contains("chat-x-4 cannot leave the ring: stream failed"));
    }

    fn excluded(nodes: Nodes, ordinal: i32, shards: usize) -> Nodes {
        let found = SearchNodes::new(&[&node(ordinal)], &[&node(ordinal)], &vec![node(ordinal); shards]);
        Nodes { search: Some(Ok(found)), ..told(nodes, ordinal) }
    }

    #[test]
    fn elasticsearch_loses_a_node_when_it_holds_no_shard() {
        let asked = |nodes: Nodes| Nodes { search: Some(Ok(SearchNodes::default())), ..nodes };
        let first = search(&asked(five()), 4);
        assert_eq!((first.leaving.clone(), first.acts.len()), (Some(node(4)), 0), "on record before it is excluded");
        let exclude = search(&asked(told(five(), 4)), 4);
        assert_eq!(exclude.acts, [Act::Exclude(node(4))]);
        let moving = search(&excluded(five(), 4, 2), 4);
        assert_eq!((moving.replicas, moving.acts.len()), (5, 0));
        assert!(moving.progress.unwrap().ends_with("gives its shards away, 2 are left"));
        let empty = search(&excluded(five(), 4, 0), 4);
        assert_eq!((empty.replicas, &empty.acts), (5, &vec![Act::DeleteClaim("data-chat-x-4".into())]));
        let shrink = search(&Nodes { claim: Claim::Going, ..excluded(five(), 4, 0) }, 4);
        assert_eq!(shrink.replicas, 4);

        let four = || Nodes { running: Some(4), highest: 3, ..five() };
        let forget = search(&excluded(four(), 4, 0), 4);
        assert_eq!((forget.acts, forget.leaving), (vec![Act::Readmit(node(4))], Some(node(4))));
        assert_eq!(search(&asked(told(four(), 4)), 4), Scale::of(4));
        let next = search(&excluded(four(), 4, 0), 3);
        assert_eq!(next.acts, [Act::Readmit(node(4))], "one exclusion at a time");
    }

    #[test]
    fn a_node_of_elasticsearch_that_is_away_is_not_taken_for_an_empty_one() {
        let unassigned = |nodes: Nodes| Nodes {
            search: nodes.search.clone().map(|found| found.map(|search| search.with_unplaced(1))),
            ..nodes
        };
        let kept = |nodes: &Nodes, words: &str| {
            let scale = search(nodes, 4);
            assert_eq!((scale.replicas, scale.acts.len(), scale.leaving), (5, 0, Some(node(4))), "{words}");
            let progress = scale.progress.unwrap();
            assert!(progress.ends_with(words), "{progress}");
        };
        kept(&unassigned(excluded(five(), 4, 0)), "goes when all shards are in place, 1 are not");
        let away = Nodes { settled: false, ..excluded(five(), 4, 0) };
        kept(&away, "holds no shard and goes when all nodes are ready");
        // A claim that somebody else deletes is no proof.
        kept(&unassigned(Nodes { claim: Claim::Going, ..away.clone() }), "1 are not");
        let going = search(&Nodes { claim: Claim::Going, ..away }, 4);
        assert_eq!(going.replicas, 4, "its data is elsewhere and its volume is as good as gone");
    }

    #[test]
    fn elasticsearch_takes_a_node_back_that_is_wanted_again() {
        let scale = search(&excluded(five(), 4, 0), 5);
        assert_eq!((scale.replicas, scale.acts), (5, vec![Act::Readmit(node(4))]));
    }

    #[test]
    fn nothing_goes_on_while_elasticsearch_does_not_answer() {
        let silent = Nodes { search: Some(Err("no route".into())), ..told(five(), 4) };
        let scale = search(&silent, 4);
        assert_eq!((scale.replicas, scale.acts.len()), (5, 0));
        assert!(scale.trouble.unwrap().contains("no route"));
    }
}
