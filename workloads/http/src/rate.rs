//! Rate limits per caller, address and action.
//!
//! Each process counts for itself: behind a gateway with n replicas a caller can do up to n times as much. That is
//! enough to keep one caller from using up a replica, which is what these limits are for.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use axum::http::{HeaderName, StatusCode, header};
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
};
use sentinel_domain::config::LimitsConfig;

use crate::problem::{Code, Problem};

/// Checks of one limiter between two sweeps of keys that are not limited any more.
const SWEEP_EVERY: u32 = 4096;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Something that is limited on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Any HTTP request, per caller or address.
    Request,
    /// A request of a socket that is open already, per address: it has no token, and many people may share an address.
    SocketRequest,
    /// A log-in under one name, or address of mail, from one network address.
    Login,
    /// Log-ins under one name or address of mail, from wherever.
    LoginAccount,
    /// Log-ins from one address, for whatever account.
    LoginAddress,
    /// A registration, per address.
    Register,
    /// A use of a refresh token, per session or address.
    Refresh,
    /// A change of password, deletion or anything else that checks the password, per account.
    Password,
    /// A look-up of other people, per caller.
    Lookup,
    /// A search in messages, per caller.
    Search,
    /// Somebody whose presence a socket is told, per user.
    Presence,
    /// An export of one's own data, per caller.
    Export,
    /// A message, edit or deletion, per sender.
    Message,
    /// A byte of text of a message or an edit, per sender.
    MessageBytes,
    /// What a sync reads over again in a flood of events, per caller.
    Sync,
    /// Starting a chat, per caller.
    StartChat,
    /// The beginning of an upload, per user.
    Upload,
    /// The end of an upload, which checks what was put, per user.
    CompleteUpload,
    /// Giving up an upload, per user.
    GiveUpUpload,
    /// A look at each of an account's files, because there is no room, per user.
    CountFiles,
    /// A push device that is registered or removed, per user.
    Device,
    /// Any event of a socket, per user.
    SocketEvent,
    /// A report of abuse, per reporter.
    Report,
    /// A mail with a link, per receiver.
    Mail,
    /// A mail that somebody asks for without a token, per address.
    MailAddress,
    /// A use of a mailed link, per address.
    UseLink,
    /// An entry of the audit log about refused log-ins, per account.
    AuditedLogin,
}

/// How often: `burst` at once, and all of them again in `period`.
struct Limit {
    action: Action,
    burst: u32,
    period: Duration,
}

fn limits(config: &LimitsConfig) -> Vec<Limit> {
    let second = Duration::from_secs(1);
    let minute = Duration::from_mins(1);
    let limit = |action, burst: u32, period| Limit { action, burst, period };
    // "n per second, ten times as many at once" is ten times n in ten seconds.
    let sustained = |action, per_second: u32| limit(action, per_second.saturating_mul(10), 10 * second);
    vec![
        sustained(Action::Request, config.requests_per_second),
        sustained(Action::SocketRequest, config.requests_per_second.saturating_mul(20)),
        sustained(Action::Message, config.messages_per_second),
        // Messages of 1 KiB at their full pace; pasted ones of full size, dozens at once.
        limit(Action::MessageBytes, config.messages_per_second.saturating_mul(20 * 1024), 20 * second),
        sustained(Action::Sync, config.messages_per_second),
        sustained(Action::SocketEvent, config.messages_per_second.saturating_mul(4)),
        sustained(Action::Lookup, config.requests_per_second.div_ceil(5)),
        // People type, and page through what was found; a search may ask the index many times.
        limit(Action::Search, config.requests_per_second.saturating_mul(2), 20 * second),
        // Each tab of a browser watches as many as a socket may, and begins anew whenever it connects again.
        limit(Action::Presence, config.requests_per_second.saturating_mul(40), 40 * second),
        limit(Action::Login, config.logins_per_minute, minute),
        limit(Action::LoginAccount, config.logins_per_minute.saturating_mul(5), minute),
        // Many people may share an office's address.
        limit(Action::LoginAddress, config.logins_per_minute.saturating_mul(10), minute),
        limit(Action::Register, config.logins_per_minute.saturating_mul(6), minute),
        limit(Action::Refresh, config.logins_per_minute.saturating_mul(6), minute),
        limit(Action::Password, config.logins_per_minute, minute),
        limit(Action::StartChat, 60, minute),
        limit(Action::Upload, config.uploads_per_minute, minute),
        // A client that lost an answer, or that was refused, completes again, or gives up.
        limit(Action::CompleteUpload, config.uploads_per_minute.saturating_mul(2), minute),
        limit(Action::GiveUpUpload, config.uploads_per_minute.saturating_mul(2), minute),
        limit(Action::CountFiles, 1, 10 * minute),
        // Apps register at each start. What is removed leaves a row for some hours, which each push to the user walks over.
        limit(Action::Device, 120, 60 * minute),
        limit(Action::Export, 4, 10 * minute),
        limit(Action::Report, 20, 60 * minute),
        limit(Action::Mail, 5, 60 * minute),
        limit(Action::MailAddress, 20, 60 * minute),
        limit(Action::UseLink, 30, 10 * minute),
        limit(Action::AuditedLogin, 1, 10 * minute),
    ]
}

type Keyed = DefaultKeyedRateLimiter<String, StateInformationMiddleware>;

struct Limiter {
    keyed: Keyed,
    burst: u32,
    period: Duration,
    checks: AtomicU32,
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many at once.
    pub limit: u32,
    /// How many are left.
    pub remaining: u32,
    /// Seconds until all are there again.
    pub reset_seconds: u64,
}

impl Allowance {
    /// The headers that tell clients.
    pub fn headers(&self) -> [(HeaderName, String); 3] {
        [
            (LIMIT, self.limit.to_string()),
            (REMAINING, self.remaining.to_string()),
            (RESET, self.reset_seconds.to_string()),
        ]
    }
}

/// All limits of a process.
pub struct RateLimits {
    limiters: HashMap<Action, Limiter>,
}

impl RateLimits {
    /// Limits as configured.
    pub fn new(config: &LimitsConfig) -> Self {
        Self { limiters: limits(config).into_iter().map(|limit| (limit.action, Limiter::new(&limit))).collect() }
    }

    /// Counts one `action` of `key`; refuses it with 429 when there were too many.
    pub fn check(&self, action: Action, key: &str) -> Result<(), Problem> {
        self.take(action, key).map(|_| ())
    }

    /// As [`RateLimits::check`], for one that counts as so many, or as all that there may be at once if that is less.
    pub fn check_costly(&self, action: Action, key: &str, cost: u32) -> Result<(), Problem> {
        self.take_costly(action, key, cost).map(|_| ())
    }

    /// As [`RateLimits::check`], telling what is left.
    pub fn take(&self, action: Action, key: &str) -> Result<Allowance, Problem> {
        self.take_costly(action, key, 1)
    }

    /// As [`RateLimits::check_costly`], telling what is left.
    pub fn take_costly(&self, action: Action, key: &str, cost: u32) -> Result<Allowance, Problem> {
        let unlimited = Allowance { limit: u32::MAX, remaining: u32::MAX, reset_seconds: 0 };
        let taken = self.limiters.get(&action).map_or(Ok(unlimited), |limiter| limiter.take(key, cost));
        taken.map_err(|refused| {
            metrics::counter!("sentinel_rate_limited_total", "action" => action.name()).increment(1);
            refused.problem(action)
        })
    }
}

impl std::fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimits").finish_non_exhaustive()
    }
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::SocketRequest => "socket_request",
            Self::Login => "login",
            Self::LoginAccount => "login_account",
            Self::LoginAddress => "login_address",
            Self::Register => "register",
            Self::Refresh => "refresh",
            Self::Password => "password",
            Self::Lookup => "lookup",
            Self::Search => "search",
            Self::Presence => "presence",
            Self::Export => "export",
            Self::Message => "message",
            Self::MessageBytes => "message_bytes",
            Self::Sync => "sync",
            Self::StartChat => "start_chat",
            Self::Upload => "upload",
            Self::CompleteUpload => "complete_upload",
            Self::GiveUpUpload => "give_up_upload",
            Self::CountFiles => "count_files",
            Self::Device => "device",
            Self::SocketEvent => "socket_event",
            Self::Report => "report",
            Self::Mail => "mail",
            Self::MailAddress => "mail_address",
            Self::UseLink => "use_link",
            Self::AuditedLogin => "audited_login",
        }
    }

    /// What there was too much of, for people.
    fn what(self) -> &'static str {
        match self {
            Self::Request => "requests",
            Self::SocketRequest => "requests of sockets from this address",
            Self::Login => "log-ins under this name from this address",
            Self::LoginAccount => "log-ins under this name",
            Self::LoginAddress => "log-ins from this address",
            Self::Register => "registrations from this address",
            Self::Refresh => "refreshes",
            Self::Password => "uses of the password",
            Self::Lookup => "look-ups of people",
            Self::Search => "searches",
            Self::Presence => "users whose presence was asked for",
            Self::Export => "exports",
            Self::Message => "messages, edits and deletions",
            Self::MessageBytes => "bytes of text in messages and edits",
            Self::Sync => "events that syncs read over again",
            Self::StartChat => "chats started, new or not",
            Self::Upload => "uploads",
            Self::CompleteUpload => "completions of uploads",
            Self::GiveUpUpload => "uploads given up",
            Self::CountFiles => "counts of files",
            Self::Device => "changes of push devices",
            Self::SocketEvent => "events of sockets",
            Self::Report => "reports",
            Self::Mail => "mails to this address",
            Self::MailAddress => "mails asked for from this network address",
            Self::UseLink => "uses of mailed links from this address",
            Self::AuditedLogin => "entries of the audit log",
        }
    }
}

impl Limiter {
    fn new(limit: &Limit) -> Self {
        let burst = NonZeroU32::new(limit.burst).unwrap_or(NonZeroU32::MIN);
        let each = limit.period / burst.get();
        let quota = Quota::with_period(each.max(Duration::from_nanos(1)))
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let keyed = RateLimiter::keyed(quota).with_middleware::<StateInformationMiddleware>();
        Self { keyed, burst: burst.get(), period: limit.period, checks: AtomicU32::new(0) }
    }

    fn take(&self, key: &str, count: u32) -> Result<Allowance, Exceeded> {
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY) {
            self.keyed.retain_recent();
            self.keyed.shrink_to_fit();
        }
        let count = NonZeroU32::new(count.min(self.burst)).unwrap_or(NonZeroU32::MIN);
        match self.keyed.check_key_n(&key.to_owned(), count) {
            Ok(Ok(state)) => Ok(self.allowance(state.remaining_burst_capacity())),
            Ok(Err(until)) => Err(self.exceeded(until.wait_time_from(DefaultClock::default().now()))),
            // It would take more than there may be at once.
            Err(_) => Err(self.exceeded(self.period)),
        }
    }

    fn exceeded(&self, wait: Duration) -> Exceeded {
        Exceeded { allowance: self.allowance(0), wait }
    }

    fn allowance(&self, remaining: u32) -> Allowance {
        let used = self.burst.saturating_sub(remaining);
        let reset = self.period.mul_f64(f64::from(used) / f64::from(self.burst));
        Allowance { limit: self.burst, remaining, reset_seconds: whole_seconds(reset) }
    }
}

/// A limit that leaves nothing for now.
#[derive(Debug)]
struct Exceeded {
    allowance: Allowance,
    wait: Duration,
}

impl Exceeded {
    fn problem(&self, action: Action) -> Problem {
        let detail = format!("too many {}; wait a little", action.what());
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, detail)
            .with_limit(action.name())
            .with_header(header::RETRY_AFTER, whole_seconds(self.wait).max(1).to_string());
        self.allowance.headers().into_iter().fold(problem, |problem, (name, value)| problem.with_header(name, value))
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn a_key_that_was_used_up_is_refused_and_others_are_not() {
        let limits = RateLimits::new(&LimitsConfig { logins_per_minute: 2, ..LimitsConfig::default() });
        let first = limits.take(Action::Login, "ann").unwrap();
        assert_eq!(first, Allowance { limit: 2, remaining: 1, reset_seconds: 30 });
        limits.check(Action::Login, "ann").unwrap();
        let response = limits.check(Action::Login, "ann").unwrap_err().into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["ratelimit-limit"], "2");
        assert_eq!(response.headers()["ratelimit-remaining"], "0");
        assert_eq!(response.headers()["ratelimit-reset"], "60");
        assert_eq!(response.headers()["retry-after"], "30");
        limits.check(Action::Login, "bob").unwrap();
        limits.check(Action::LoginAddress, "ann").unwrap();
    }

    #[test]
    fn what_costs_much_counts_as_many_and_is_never_out_of_reach() {
        let limits = RateLimits::new(&LimitsConfig { messages_per_second: 1, ..LimitsConfig::default() });
        limits.check_costly(Action::Sync, "ann", 8).unwrap();
        let response = limits.check_costly(Action::Sync, "ann", 8).unwrap_err().into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "6");
        limits.check_costly(Action::Sync, "ann", 2).unwrap();
        limits.check_costly(Action::Sync, "bob", 1_000).unwrap();
        limits.check(Action::Sync, "bob").unwrap_err();
    }

    #[test]
    fn keys_that_are_not_limited_any_more_are_forgotten() {
        let limit = Limit { action: Action::Request, burst: 10, period: Duration::from_nanos(10) };
        let limiter = Limiter::new(&limit);
        for n in 0..=SWEEP_EVERY {
            limiter.take(&n.to_string(), 1).unwrap();
        }
        assert!(limiter.keyed.len() < 100, "{}", limiter.keyed.len());
    }

    /// How often, as the guide writes it.
    fn written(limit: &Limit) -> String {
        let grouped = |count: u32| {
            if count < 1_000 { count.to_string() } else { format!("{},{:03}", count / 1_000, count % 1_000) }
        };
        let counted = |count: u32| {
            if limit.action == Action::MessageBytes { format!("{} KiB", grouped(count / 1024)) } else { grouped(count) }
        };
        let all = counted(limit.burst);
        match u32::try_from(limit.period.as_secs()).unwrap() {
            60 => format!("{all} a minute"),
            600 => format!("{all} in 10 minutes"),
            3_600 => format!("{all} an hour"),
            seconds => format!("{all} at once, {} a second", counted(limit.burst / seconds)),
        }
    }

    #[test]
    fn a_refusal_says_which_limit_was_met_and_the_guide_lists_it() {
        let guide = include_str!("../../../docs/clients.md");
        // What these limit is done without, and nobody is refused.
        let unseen = [Action::CountFiles, Action::AuditedLogin];
        for limit in limits(&LimitsConfig::default()).into_iter().filter(|it| !unseen.contains(&it.action)) {
            let action = limit.action;
            let limits = RateLimits::new(&LimitsConfig::default());
            let (mut refused, mut count) = (None, 0);
            while refused.is_none() && count < 20_000 {
                (refused, count) = (limits.check_costly(action, "ann", 100).err(), count + 1);
            }
            let refused = refused.unwrap();
            assert_eq!(refused.limit(), Some(action.name()));
            assert_eq!(refused.detail(), format!("too many {}; wait a little", action.what()));
            let row = format!("| {} | `{}` |", written(&limit), action.name());
            assert!(guide.contains(&row), "docs/clients.md has no {row}");
        }
    }

    #[test]
    fn three_tabs_of_a_user_with_many_chats_may_come_back_again_and_again() {
        let limits = RateLimits::new(&LimitsConfig::default());
        for _ in 0..3 * 3 {
            limits.check_costly(Action::Presence, "ann", 200).unwrap();
        }
        let refused = (0..10).filter(|_| limits.check_costly(Action::Presence, "ann", 200).is_err()).count();
        assert!(refused >= 8, "{refused}");
    }

    #[test]
    fn every_action_has_a_limit_even_when_configured_as_none() {
        let config = LimitsConfig { requests_per_second: 0, ..LimitsConfig::default() };
        let limits = RateLimits::new(&config);
        assert_eq!(limits.limiters.len(), 27);
        limits.check(Action::Request, "ann").unwrap();
        limits.check(Action::Request, "ann").unwrap_err();
    }
}
