//! One reconcile: the steps in order, and what becomes of their errors.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Client, Resource,
    core::ObjectMeta,
    runtime::{
        controller::Action,
        events::{EventType, Recorder, Reporter},
    },
};
use thiserror::Error;

use crate::{
    answer::{self, describe},
    api::{DeletionPolicy, SentinelChat, Store},
    backoff::{self, Backoff, jitter},
    build,
    chats::Chats,
    events::{event, transitions},
    installation::{Installation, Keeper},
    names::{MANAGER, full_name},
    providers,
    settings::Settings,
    steps::{
        apply::{self, Failure, leave, repair},
        dereference::{self, certificate::Health, tls},
        finalize, growth,
        observe::{
            self, Observed, probe,
            search_nodes::{self, Elasticsearch},
            volumes,
        },
        plan::{self, Plan},
        prune,
        sequence::{self, Sequence},
        status::{self, Carried, Refused, Seen, Verdict, conditions},
        unreadable::{self, Guarded, Unreadable},
        validate,
    },
};

/// How often a settled resource is looked at without any change, which is also how soon a change in
/// a Secret that somebody else owns, or a full volume, is seen.
const RESYNC: Duration = Duration::from_secs(40);
/// How often a resource is looked at that waits for something that is not watched.
const WAITING: Duration = Duration::from_secs(30);
/// How often a resource is looked at while a node of a store leaves.
const LEAVING: Duration = Duration::from_secs(5);

/// How long one reconcile may take. The client waits for minutes for each answer, and while a reconcile waits, the
/// resource is not looked at again.
const LONGEST: Duration = Duration::from_mins(5);

/// How long reconciles may go on after the operator was told to stop. Its pod is killed after 30 seconds, and the lease is to
/// be released before that.
const DRAIN: Duration = Duration::from_secs(15);

/// What every reconcile shares.
pub struct Context {
    /// Connection to the API server.
    pub client: Client,
    /// Defaults.
    pub settings: Settings,
    /// Which installation this is; none looks after all resources, whoever else does.
    pub installation: Option<Installation>,
    /// Writes Events.
    pub recorder: Recorder,
    /// Waiting times after errors.
    pub backoff: Backoff,
    /// The chats that are watched, for a scrape.
    pub chats: Chats,
    /// Growths that were refused.
    pub refusals: repair::Refusals,
    /// Workloads that were deleted to be made anew.
    pub unmade: apply::Unmade,
    /// Deletions that failed.
    pub tries: finalize::Tries,
    /// How long a deletion is tried.
    pub deletion: Duration,
    /// Where Elasticsearch is, if not where the resource has it. For tests.
    pub elasticsearch: Option<String>,
    /// Which addresses of external stores are connected to.
    pub reach: probe::Reach,
    /// How long one reconcile may take.
    pub longest: Duration,
    /// How long reconciles may go on after the operator was told to stop.
    pub drain: Duration,
}

impl Context {
    /// A context without history.
    pub fn new(client: Client, settings: Settings) -> Self {
        let recorder = Recorder::new(client.clone(), Reporter::from(MANAGER));
        Self {
            client,
            settings,
            installation: None,
            recorder,
            backoff: Backoff::default(),
            chats: Chats::default(),
            refusals: repair::Refusals::default(),
            unmade: apply::Unmade::default(),
            tries: finalize::Tries::default(),
            deletion: finalize::DEADLINE,
            elasticsearch: None,
            reach: probe::Reach::default(),
            longest: LONGEST,
            drain: DRAIN,
        }
    }
}

/// Why a reconcile has to be tried again.
#[derive(Debug, Error)]
pub enum Error {
    /// The cluster could not be read.
    #[error(transparent)]
    Observe(#[from] observe::Error),
    /// A reference could not be followed.
    #[error(transparent)]
    Dereference(#[from] dereference::Error),
    /// It is not known who looks after the resource.
    #[error("cannot tell which installation of the operator looks after the resource")]
    Keeper(#[source] kube::Error),
    /// The status could not be written.
    #[error("cannot write the status")]
    Status(#[source] kube::Error),
    /// The finalizer could not be set or removed.
    #[error("cannot change the finalizer")]
    Finalizer(#[source] kube::Error),
    /// Nothing came of it in the time that it has.
    #[error("the API server did not answer in time: given up after {seconds} seconds")]
    TimedOut {
        /// The time that it has.
        seconds: u64,
    },
    /// Something could not be changed.
    #[error("{}", in_short(failures))]
    Incomplete {
        /// What, with those before others that are a reason to try again.
        failures: Vec<Failure>,
    },
}

/// Brings the cluster closer to what the resource says.
pub async fn reconcile(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let started = std::time::Instant::now();
    let result = match tokio::time::timeout(context.longest, Box::pin(run(&object, &context))).await {
        Ok(result) => result,
        Err(_) => Err(Error::TimedOut { seconds: context.longest.as_secs() }),
    };
    let outcome = if result.is_ok() { "ok" } else { "error" };
    metrics::counter!("sentinel_operator_reconciles_total", "result" => outcome).increment(1);
    metrics::histogram!("sentinel_operator_reconcile_seconds").record(started.elapsed().as_secs_f64());
    if result.is_ok() {
        context.backoff.succeeded(&full_name(object.meta()));
    }
    result
}

/// When to try again after `error`.
#[allow(clippy::needless_pass_by_value)] // the signature is the controller's
pub fn on_error(object: Arc<Guarded>, error: &Error, context: Arc<Context>) -> Action {
    let wait = context.backoff.failed(&full_name(object.meta()), longest_wait(error));
    tracing::warn!(
        object = full_name(object.meta()),
        error = describe(error),
        seconds = wait.as_secs(),
        "trying again later"
    );
    Action::requeue(wait)
}

/// What could not be changed may stay so, and keeps nothing from being looked at: a changed Secret or a full volume is to be
/// seen as soon as without it.
fn longest_wait(error: &Error) -> Duration {
    if matches!(error, Error::Incomplete { .. }) { RESYNC } else { backoff::LONGEST }
}

/// The first of them, and how many there are besides.
fn in_short(failures: &[Failure]) -> String {
    match failures {
        [] => "something could not be changed".into(),
        [only] => only.message.clone(),
        [first, others @ ..] => format!("{}; and {} more", first.message, others.len()),
    }
}

async fn run(object: &Guarded, context: &Context) -> Result<Action, Error> {
    if let Some(installation) = &context.installation {
        match installation.keeper(&context.client, object.meta()).await.map_err(Error::Keeper)? {
            Keeper::Own => {}
            Keeper::Alone { note } => tell(object, context, "LeaseForbidden", note).await,
            Keeper::Taken => return Ok(Action::await_change()),
            Keeper::Another { note } => {
                tell(object, context, "AnotherOperator", note).await;
                return Ok(Action::requeue(jitter(WAITING)));
            }
        }
    }
    let chat = match &object.0 {
        Ok(chat) => chat,
        Err(unreadable) => return cannot_read(object, unreadable, context).await,
    };
    if chat.metadata.deletion_timestamp.is_some() {
        return finalized(object, &chat.metadata, chat.spec.deletion_policy, context).await;
    }
    // Also while paused: the resource may be deleted meanwhile, and then its data goes or stays as it says.
    if finalize::align(&context.client, chat).await.map_err(Error::Finalizer)? {
        // The change triggers the next reconcile, which sees the current version.
        return Ok(Action::await_change());
    }
    if chat.spec.paused {
        report(object, chat, context, Verdict::Paused).await?;
        return Ok(Action::await_change());
    }
    let valid = match validate::validate(chat, &context.settings) {
        Ok(valid) => valid,
        Err(error) => {
            let message = error.to_string();
            let refused = Refused { reason: validate::Error::REASON, message: &message, seen: None };
            report(object, chat, context, Verdict::Refused(refused)).await?;
            return Ok(Action::await_change());
        }
    };
    // Boxed, or every watch would carry the largest step.
    Box::pin(carry_out(object, chat, &valid, context)).await
}

/// Tells what is wrong with a resource that cannot be read, and lets it go when it is deleted.
async fn cannot_read(object: &Guarded, chat: &Unreadable, context: &Context) -> Result<Action, Error> {
    if chat.metadata.deletion_timestamp.is_some() {
        return finalized(object, &chat.metadata, chat.deletion_policy(), context).await;
    }
    let (previous, next) = (chat.conditions(), chat.judge(Timestamp::now()));
    if previous != next {
        tracing::warn!(object = full_name(object.meta()), error = chat.message, "cannot read the resource");
        unreadable::write(&context.client, chat, &next).await.map_err(Error::Status)?;
        publish(context, object, event(EventType::Warning, unreadable::REASON, &chat.message)).await;
    }
    Ok(Action::await_change())
}

async fn carry_out(
    object: &Guarded,
    chat: &SentinelChat,
    valid: &validate::ValidChat,
    context: &Context,
) -> Result<Action, Error> {
    let client = &context.client;
    let namespace = valid.namespace.as_str();
    let refuse = async |reason, message: &str, seen| {
        report(object, chat, context, Verdict::Refused(Refused { reason, message, seen })).await?;
        Ok(Action::requeue(jitter(WAITING)))
    };
    let mut observed = match observe::observe(client, namespace, &valid.names).await {
        Ok(observed) => observed,
        // What the status said before may be true no more.
        Err(error) if error.is_forbidden() => return refuse("Forbidden", &describe(&error), None).await,
        Err(error) => return Err(error.into()),
    };
    let grown = repair::grow(client, namespace, &plan::growths(valid, &observed), &context.refusals).await;
    let elasticsearch = Elasticsearch::of(valid, context.elasticsearch.as_deref());
    ask(valid, context.reach, &elasticsearch, &mut observed).await;
    let certificate = tls::read(client, valid).await;
    let health = tls::health(&certificate, &valid.spec.gateway, Timestamp::now());
    let seen = Seen { valid, observed: &observed, failures: &grown, certificate: &health };
    let found = match dereference::dereference(client, valid, &observed, certificate).await {
        Ok(found) => found,
        Err(error) => match error.reason() {
            Some(reason) => return refuse(reason, &describe(&error), Some(seen)).await,
            None => return Err(error.into()),
        },
    };
    let children = match build::build(valid, &found.facts) {
        Ok(children) => children,
        Err(error) => return refuse("InvalidSpec", &describe(&error), Some(seen)).await,
    };
    let sequence = sequence::judge(valid, &children, &observed, chat.status.as_ref(), Timestamp::now());
    let (mut wanted, mut held) = sequence.part(children);
    let settled = sequence.is_settled(valid, &wanted, &observed);
    if !settled {
        Sequence::keep_flows(&mut wanted, &observed);
        Sequence::keep_gateway(valid, &mut wanted, &mut held, &observed);
    }
    let mut plan = plan::plan(wanted, &held, &observed, chat.metadata.uid.as_deref());
    if !settled {
        Sequence::keep_stores(valid, &mut plan, &observed);
    }

    let scales = scales(valid, &observed);
    let acts: Vec<providers::Act> = scales.iter().flat_map(|scale| scale.acts.clone()).collect();
    let mut failures = told(&scales);
    failures.extend(leave::carry_out(client, namespace, &elasticsearch, &observed, &acts).await);
    failures.extend(grown);
    failures.extend(growth::failures(valid, &observed));
    failures.extend(write(context, valid, &found.new_secrets, &mut plan, &mut observed).await);
    if let Health::Troubled(trouble) = health {
        failures.push(trouble);
    }

    let carried = Carried {
        valid,
        observed: &observed,
        failures: &failures,
        blocked: &plan.blocked,
        sequence: &sequence,
        new_secrets: &found.new_secrets,
    };
    report(object, chat, context, Verdict::Carried(carried)).await?;
    failures.sort_by_key(|failure| !failure.transient);
    if failures.first().is_some_and(|first| first.transient) {
        return Err(Error::Incomplete { failures });
    }
    // What a node still holds is not watched.
    let leaves = scales.iter().any(|scale| scale.leaving.is_some());
    Ok(Action::requeue(if leaves { jitter(LEAVING) } else { look_again(valid, &sequence) }))
}

/// Adds what the API server does not know: what stores and pods tell themselves.
async fn ask(valid: &validate::ValidChat, reach: probe::Reach, elasticsearch: &Elasticsearch, observed: &mut Observed) {
    (observed.probes, observed.full) = tokio::join!(probe::probe(valid, reach), volumes::ask(&valid.names, observed));
    if providers::asks_elasticsearch(valid, observed) {
        observed.search_nodes = Some(search_nodes::ask(elasticsearch).await);
    }
}

/// Makes the changes of a plan, new Secrets first.
async fn write(
    context: &Context,
    valid: &validate::ValidChat,
    new_secrets: &[Secret],
    plan: &mut Plan,
    observed: &mut Observed,
) -> Vec<Failure> {
    let (client, namespace) = (&context.client, valid.namespace.as_str());
    let owner = valid.owner.as_ref().map(|owner| owner.uid.as_str());
    let mut failures = Vec::new();
    for secret in new_secrets {
        if let Err(failure) = apply::create_secret(client, namespace, secret).await {
            // Pods must not start with the hash of keys that do not exist.
            plan.apply.retain(|child| child.kind.stage() != build::Stage::Workload);
            failures.push(failure);
        }
    }
    failures.extend(apply::apply(client, namespace, plan, observed, &context.unmade).await);
    failures.extend(prune::prune(client, namespace, &plan.prune, observed).await);
    failures.extend(repair::replace_stuck(client, namespace, observed, owner).await);
    failures
}

/// How many nodes each store that the operator runs may have.
fn scales(valid: &validate::ValidChat, observed: &Observed) -> Vec<providers::Scale> {
    let managed = Store::ALL.into_iter().filter(|store| valid.managed(*store).is_some());
    managed.map(|store| providers::scale(valid, store, observed)).collect()
}

/// What the resource asks of its stores and would not be safe, or does not come about.
fn told(scales: &[providers::Scale]) -> Vec<Failure> {
    let failure = |reason| move |message| Failure { stage: build::Stage::Extra, reason, message, transient: false };
    let refused = scales.iter().filter_map(|scale| scale.refusal.clone()).map(failure(conditions::SCALE_REFUSED));
    let failing = scales.iter().filter_map(|scale| scale.trouble.clone()).map(failure(conditions::SCALE_IN_FAILING));
    refused.chain(failing).collect()
}

/// When to look again if nothing is seen to change. Stores of somebody else are not watched.
fn look_again(valid: &validate::ValidChat, sequence: &Sequence) -> Duration {
    if let Some(pause) = sequence.pause() {
        return pause;
    }
    let has_external = Store::ALL.into_iter().any(|store| valid.external(store).is_some());
    jitter(if has_external || !sequence.serves() { WAITING } else { RESYNC })
}

async fn finalized(
    object: &Guarded,
    metadata: &ObjectMeta,
    policy: DeletionPolicy,
    context: &Context,
) -> Result<Action, Error> {
    let list = |failures: &[Failure]| failures.iter().map(|f| f.message.clone()).collect::<Vec<_>>().join("; ");
    let outcome = finalize::finalize(&context.client, metadata, policy, &context.tries, context.deletion).await;
    match outcome.map_err(Error::Finalizer)? {
        finalize::Outcome::Nothing => {}
        finalize::Outcome::Done(left) if left.is_empty() => {
            let note = "data volumes, generated keys and credentials are deleted";
            publish(context, object, event(EventType::Normal, "DataDeleted", note)).await;
        }
        finalize::Outcome::Done(left) => {
            let note = format!(
                "data volumes, generated keys and credentials are deleted, but for volume claims that no label tells to be \
                 this SentinelChat's: delete those that were: {}",
                left.join(", ")
            );
            tracing::warn!(object = full_name(object.meta()), note, "not all of the data may be deleted");
            publish(context, object, event(EventType::Warning, "DataLeftBehind", &note)).await;
        }
        finalize::Outcome::GivenUp(failures) => {
            let left = list(&failures);
            // The resource is gone, and with a namespace its Events.
            tracing::error!(
                object = full_name(object.meta()),
                left,
                "not everything could be deleted, delete it yourself"
            );
            let note = format!("not everything could be deleted, delete it yourself: {left}");
            publish(context, object, event(EventType::Warning, "DataLeftBehind", &note)).await;
        }
        finalize::Outcome::Pending(failures) => {
            let message = list(&failures);
            publish(context, object, event(EventType::Warning, "DeletionPending", &message)).await;
            return Err(Error::Incomplete { failures });
        }
    }
    Ok(Action::await_change())
}

/// Tells of another installation, in the log and as an Event: a condition would be written over by the other one.
async fn tell(object: &Guarded, context: &Context, reason: &str, note: Option<String>) {
    let Some(note) = note else { return };
    tracing::warn!(
        object = full_name(object.meta()),
        reason,
        note,
        "there is another installation of the operator, or may be"
    );
    publish(context, object, event(EventType::Warning, reason, &note)).await;
}

/// Writes the status and, if it changed, the Events that tell so.
async fn report(object: &Guarded, chat: &SentinelChat, context: &Context, verdict: Verdict<'_>) -> Result<(), Error> {
    let next = status::assess(chat, verdict, Timestamp::now());
    if status::write(&context.client, chat, &next.status).await.map_err(Error::Status)? {
        let previous = chat.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        for event in transitions(previous, &next.status.conditions, &next.troubles) {
            publish(context, object, event).await;
        }
    }
    Ok(())
}

/// An Event that cannot be written is no reason to stop.
async fn publish(context: &Context, object: &Guarded, event: kube::runtime::events::Event) {
    let Err(error) = context.recorder.publish(&event, &object.object_ref(&())).await else { return };
    if matches!(&error, kube::Error::Api(status) if answer::is_of_ending_namespace(status)) {
        tracing::debug!(
            object = full_name(object.meta()),
            reason = event.reason,
            "no event can be written where all is being deleted"
        );
    } else {
        tracing::warn!(
            object = full_name(object.meta()),
            reason = event.reason,
            error = describe(&error),
            "cannot write an event"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(message: &str) -> Failure {
        Failure { stage: build::Stage::Extra, reason: "ApiError", message: message.into(), transient: true }
    }

    #[test]
    fn what_could_not_be_changed_is_told_by_the_first_and_how_many_there_are() {
        let told = |messages: &[&str]| {
            let failures = messages.iter().copied().map(failure).collect();
            Error::Incomplete { failures }.to_string()
        };
        assert_eq!(told(&["cannot apply Service chat: refused"]), "cannot apply Service chat: refused");
        assert_eq!(told(&["first", "second", "third"]), "first; and 2 more");
    }

    #[test]
    fn what_could_not_be_changed_delays_no_look_at_what_is_not_watched() {
        let refused = Error::Incomplete { failures: vec![failure("cannot apply ServiceMonitor chat: no such kind")] };
        assert!(longest_wait(&refused).mul_f64(1.25) < Duration::from_mins(1), "as the documentation has it");
        let unreachable = Error::TimedOut { seconds: 300 };
        assert_eq!(longest_wait(&unreachable), backoff::LONGEST);
        let first = Backoff::default().failed("team/chat", longest_wait(&refused));
        assert!(first < Duration::from_secs(2), "it begins as before");
    }
}
