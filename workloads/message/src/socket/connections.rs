//! The transports below sockets, and how to cut them.
//!
//! A namespace disconnect tells stock clients to stay away. To make one come back, or to be rid of one that does not
//! read, its transport has to break: a WebSocket is closed, and requests of a polling client are answered as if the
//! session were unknown.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use socketioxide::socket::Sid;
use tokio_util::sync::CancellationToken;

use super::flow::Flow;

/// How long requests of a cut polling session are refused here; by then the Socket.IO server has given it up too.
const REMEMBERED: Duration = Duration::from_mins(2);

/// So many flows are not worth looking through.
const FEW: usize = 64;

/// One transport. Cancelled, it breaks.
#[derive(Clone, Default)]
pub(crate) struct Line(CancellationToken);

impl Line {
    pub fn cut(&self) {
        self.0.cancel();
    }

    pub fn token(&self) -> &CancellationToken {
        &self.0
    }
}

/// All transports of this process.
#[derive(Default)]
pub(crate) struct Connections {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    draining: bool,
    lines: HashMap<u64, Line>,
    upgraded: HashMap<Sid, u64>,
    polls: HashMap<Sid, u64>,
    cut: HashMap<Sid, Instant>,
    flows: HashMap<Sid, Weak<Flow>>,
    /// How many flows there were after they were last swept.
    swept: usize,
}

/// Why a transport carries on with a session that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// A WebSocket that polling is upgraded to.
    Upgrade(Sid),
    /// A polling request.
    Poll(Sid),
    /// A WebSocket from the start: its session gets its id later, and holds the line itself.
    New,
    /// What is passed on to the replica whose session it is: only the end of the process cuts it.
    Foreign,
}

impl Connections {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a transport; `None` when its session was cut.
    pub fn open(self: &Arc<Self>, carries: Carries) -> Option<OpenLine> {
        let mut state = self.state();
        if let Carries::Upgrade(sid) | Carries::Poll(sid) = carries
            && state.cut.contains_key(&sid)
        {
            return None;
        }
        state.last += 1;
        let (id, line) = (state.last, Line::default());
        state.lines.insert(id, line.clone());
        match carries {
            Carries::Upgrade(sid) => drop(state.upgraded.insert(sid, id)),
            Carries::Poll(sid) => drop(state.polls.insert(sid, id)),
            Carries::New | Carries::Foreign => {}
        }
        drop(state);
        Some(OpenLine { line, id, carries, connections: self.clone() })
    }

    /// The flow of a session, which its transports change over time: the one given when it is the first.
    pub(super) fn join_flow(&self, sid: Sid, own: Option<Arc<Flow>>) -> Arc<Flow> {
        let mut state = self.state();
        if let Some(flow) = state.flows.get(&sid).and_then(Weak::upgrade) {
            return flow;
        }
        let flow = own.unwrap_or_default();
        state.flows.insert(sid, Arc::downgrade(&flow));
        flow
    }

    /// Forgets the flow of a session when only the caller holds it.
    pub(super) fn leave_flow(&self, sid: Sid, flow: &Arc<Flow>) {
        // Counted under the lock: who joins in between would be left with a flow that nobody else finds.
        let mut state = self.state();
        if Arc::strong_count(flow) == 1 {
            state.flows.remove(&sid);
        }
    }

    /// The flow of a session that has joined.
    pub(super) fn flow(&self, sid: Sid) -> Option<Arc<Flow>> {
        self.state().flows.get(&sid).and_then(Weak::upgrade)
    }

    /// Cuts whatever carries a session now, and refuses what would carry it later.
    pub fn cut(&self, sid: Sid, own: Option<&Line>) {
        if let Some(line) = own {
            line.cut();
        }
        let mut state = self.state();
        state.cut.insert(sid, Instant::now());
        for id in [state.upgraded.get(&sid), state.polls.get(&sid)].into_iter().flatten() {
            if let Some(line) = state.lines.get(id) {
                line.cut();
            }
        }
    }

    /// Cuts everything, also transports whose sockets never joined.
    pub fn cut_all(&self) {
        for line in self.state().lines.values() {
            line.cut();
        }
    }

    /// Refuses new sessions from now on.
    pub fn stop_accepting(&self) {
        self.state().draining = true;
    }

    /// Whether new sessions are refused.
    pub fn draining(&self) -> bool {
        self.state().draining
    }

    /// Whether no transport is open.
    pub fn is_empty(&self) -> bool {
        self.state().lines.is_empty()
    }

    /// Forgets sessions that were cut long ago, and flows of sessions that ended while their transport still held them.
    pub fn sweep(&self) {
        let mut state = self.state();
        if !state.cut.is_empty() {
            state.cut.retain(|_, at| at.elapsed() < REMEMBERED);
        }
        if state.flows.len() > 2 * state.swept + FEW {
            state.flows.retain(|_, flow| flow.strong_count() > 0);
            state.swept = state.flows.len();
        }
    }
}

/// A transport that is open; forgotten when dropped.
pub(crate) struct OpenLine {
    pub line: Line,
    id: u64,
    carries: Carries,
    connections: Arc<Connections>,
}

impl OpenLine {
    /// The flow of the session that is carried, once it has joined.
    pub(super) fn flow(&self) -> Option<Arc<Flow>> {
        match self.carries {
            Carries::Upgrade(sid) | Carries::Poll(sid) => self.connections.flow(sid),
            Carries::New | Carries::Foreign => None,
        }
    }
}

impl Drop for OpenLine {
    fn drop(&mut self) {
        let mut state = self.connections.state();
        state.lines.remove(&self.id);
        match self.carries {
            Carries::Upgrade(sid) if state.upgraded.get(&sid) == Some(&self.id) => drop(state.upgraded.remove(&sid)),
            Carries::Poll(sid) if state.polls.get(&sid) == Some(&self.id) => drop(state.polls.remove(&sid)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_breaks_what_carries_the_session_and_refuses_what_would() {
        let connections = Arc::new(Connections::default());
        let (sid, other) = (Sid::new(), Sid::new());
        let poll = connections.open(Carries::Poll(sid)).unwrap();
        let upgrade = connections.open(Carries::Upgrade(sid)).unwrap();
        let bystander = connections.open(Carries::Poll(other)).unwrap();
        connections.cut(sid, None);
        assert!(poll.line.token().is_cancelled() && upgrade.line.token().is_cancelled());
        assert!(!bystander.line.token().is_cancelled());
        assert!(connections.open(Carries::Poll(sid)).is_none());
        drop((poll, upgrade, bystander));
        let state = connections.state();
        assert!(state.lines.is_empty() && state.polls.is_empty() && state.upgraded.is_empty());
    }

    #[test]
    fn sessions_that_are_over_leave_nothing() {
        let connections = Connections::default();
        let open: Vec<_> = (0..10).map(|_| (Sid::new(), Arc::new(Flow::default()))).collect();
        for (sid, flow) in &open {
            connections.join_flow(*sid, Some(flow.clone()));
        }
        for _ in 0..1000 {
            // Their transport goes after them.
            let (sid, flow) = (Sid::new(), Arc::new(Flow::default()));
            let joined = connections.join_flow(sid, Some(flow.clone()));
            connections.leave_flow(sid, &joined);
            drop(joined);
            drop(flow);
            connections.sweep();
        }
        assert!(connections.state().flows.len() <= 2 * open.len() + FEW + 1);
        for (sid, flow) in &open {
            assert!(Arc::ptr_eq(&connections.flow(*sid).unwrap(), flow));
        }
    }

    #[test]
    fn a_poll_that_ends_late_does_not_hide_the_next_one() {
        let connections = Arc::new(Connections::default());
        let sid = Sid::new();
        let first = connections.open(Carries::Poll(sid)).unwrap();
        let second = connections.open(Carries::Poll(sid)).unwrap();
        drop(first);
        connections.cut(sid, None);
        assert!(second.line.token().is_cancelled());
    }
}
