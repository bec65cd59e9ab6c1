//! What governs a host: ledger, policies in force, freezes, who is known; and the acts of people on them.
//!
//! An administrative act is decided by the policies in force, is on record before it is done, and waits for a second person where a rule demands one: that
//! person gives the same command. What is in force lies in the state folder, so a project file that was changed changes nothing by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bailiwick_core::act::{Act, DataSubject, FreezeScope};
use bailiwick_core::capability::Catalog;
use bailiwick_core::ids::{PolicyVersion, Seq};
use bailiwick_core::policy::{ActDecision, Decision, Permit, PolicyEngine as _, Requester};
use bailiwick_core::record::{Draft, Fields, Payload, RecordContext, RecordKind, Recorder as _, Verdict};
use bailiwick_ledger::{AnchorState, Filter, Ledger};
use bailiwick_policy::{CedarEngine, DEFAULT_POLICY, Freeze, Freezes, Policies, PolicyProblem, PolicySource};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::fault::{Diagnosis, Fault, Result, Source};
use crate::project::Project;
use crate::requesters::{self, Requesters};
use crate::wire::{flush, ledger_fault, ledger_options, open_fault};
use crate::{display, kept, state, text};

/// Files of the state folder.
const POLICIES: &str = "policies.json";
const FREEZES: &str = "freezes.json";
const PROPOSALS: &str = "proposals.json";
/// Most freezes of a host.
const FREEZES_MOST: usize = 1_000;
/// Most acts that wait for a second person.
const PROPOSALS_MOST: usize = 1_000;
/// How long an act waits for a second person.
const PROPOSAL_MS_MOST: u64 = 7 * 24 * 60 * 60 * 1_000;
/// Most bytes of a reason.
const REASON_BYTES_MOST: usize = 2_000;

/// Policies as they came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct InForce {
    version: PolicyVersion,
    /// Their texts by file.
    files: BTreeMap<String, String>,
}

impl InForce {
    fn new(version: PolicyVersion, sources: Vec<PolicySource>) -> Self {
        Self { version, files: sources.into_iter().map(|source| (source.name, source.text)).collect() }
    }

    fn sources(&self) -> Vec<PolicySource> {
        self.files.iter().map(|(name, text)| PolicySource { name: name.clone(), text: text.clone() }).collect()
    }
}

/// An act that waits for a second person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Waiting {
    /// Who proposes it.
    pub first: Requester,
    /// The act.
    pub act: Act,
    /// What exactly: a digest or a version. The second person agrees to this and nothing else.
    pub content: String,
    /// Since when, in milliseconds since 1970-01-01T00:00:00Z.
    pub since_ms: u64,
}

/// What governs a host that holds a state folder.
pub struct Governance {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// What decides.
    pub policy: Arc<CedarEngine>,
    /// Every operation that the project knows.
    pub catalog: Arc<Catalog>,
    /// The project's tenant: that of the people at the command line.
    pub tenant: bailiwick_core::ids::TenantId,
    state: PathBuf,
    /// Held while an act is asked for and done, so that two do not pass each other.
    acting: tokio::sync::Mutex<()>,
}

impl Governance {
    /// Takes the state folder, and brings into force what was.
    ///
    /// # Errors
    /// When the folder is held, of a newer version or damaged, or the policies are refused.
    pub async fn open(project: &Project, state: &Path, anchors: Vec<PathBuf>) -> Result<Self> {
        match state::exposure(state) {
            Some(warning) if warning.is_warning() => display::diagnoses(&[warning]),
            Some(problem) => return Err(Fault::bad_input(problem)),
            None => {}
        }
        let catalog = bailiwick_wit::builtin_catalog().map_err(|problem| Fault::internal(problem.to_string()))?;
        // Looked at before anything is begun: a first start on a project with wrong policies leaves nothing behind.
        let sources = policy_sources(project)?;
        let theirs = load(project, &sources, &catalog);
        let ledger = Arc::new(Ledger::open(state, ledger_options(anchors)).map_err(open_fault)?);
        let freezes = kept::read::<Freezes>(state, FREEZES)?.unwrap_or_default();
        let kept = kept::read::<InForce>(state, POLICIES)?;
        let recorded = recorded(&ledger)?;
        // The file is a copy; what is on record counts. Where the record's do not fit this program's operations any more, taking the file out lets
        // the project's come into force.
        let is_usable = recorded.as_ref().is_some_and(|recorded| kept.is_some() || Policies::load(&recorded.sources(), &catalog).is_ok());
        let changed_outside = is_usable && recorded != kept;
        let stored = if is_usable { recorded } else { kept };
        let in_force = match &stored {
            None => None,
            Some(stored) if stored.files == InForce::new(stored.version.clone(), sources.clone()).files => None,
            Some(stored) => Some(Policies::load(&stored.sources(), &catalog).map_err(|problems| unfit(&problems))?),
        };
        let differs = in_force.is_some();
        let first = match in_force {
            Some(policies) => policies,
            None => theirs?,
        };
        let governance = Self {
            ledger,
            policy: Arc::new(CedarEngine::new(Arc::new(first), freezes)),
            catalog: Arc::new(catalog),
            tenant: project.tenant.clone(),
            state: state.to_owned(),
            acting: tokio::sync::Mutex::new(()),
        };
        if let Some(stored) = stored.as_ref().filter(|_| changed_outside) {
            governance.put_back(stored).await?;
        }
        // A version covers the operations that a program knows: the same texts have another one here, and what decides has to be on record.
        if let Some(stored) = stored.as_ref().filter(|stored| stored.version != governance.policy.version()) {
            governance.put_in_force(stored.sources(), governance.policy.policies()).await?;
        }
        if stored.is_none() {
            governance.put_in_force(sources, governance.policy.policies()).await?;
        } else if differs {
            governance.take_over(project, sources).await?;
        }
        Ok(governance)
    }

    /// Puts the file of the policies in force back as it is on record, and says so.
    async fn put_back(&self, stored: &InForce) -> Result<()> {
        let fields =
            Fields { policy_version: Some(stored.version.clone()), reason: Some("policies-changed-outside".into()), ..Fields::default() };
        let draft = Draft { kind: RecordKind::SecurityEvent, context: Arc::new(RecordContext::default()), fields, payload: None };
        let record = self.ledger.append(draft).map_err(ledger_fault)?;
        self.ledger.durable(record).await.map_err(ledger_fault)?;
        kept::write(&self.state, POLICIES, stored)?;
        let message = format!(
            "`{POLICIES}` was changed by other means than `policy install` (record {record}): version {} stays in force",
            stored.version
        );
        let diagnosis = Diagnosis::new(message).with_help("the file was put back as it is on record; find out who changed it".to_owned());
        display::diagnoses(&[diagnosis.into_warning()]);
        Ok(())
    }

    /// Says what follows from policies that differ from those in force: a development project's are installed, others wait to be.
    async fn take_over(&self, project: &Project, sources: Vec<PolicySource>) -> Result<()> {
        if project.development {
            let operator = Requesters::load(&self.state)?.authenticate(
                project,
                requesters::Claim { name: Some(&requesters::local_name()), token: None },
                now_ms(),
            )?;
            return self.install_policies(&operator, sources).await.map(|_| ());
        }
        let message = format!("the project's policies are not those in force (version {})", self.policy.version());
        display::diagnoses(&[Diagnosis::new(message)
            .with_help("`bailiwick policy install` brings them into force".to_owned())
            .into_warning()]);
        Ok(())
    }

    /// Gives who is known to this host.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn requesters(&self) -> Result<Requesters> {
        Requesters::load(&self.state)
    }

    /// Asks whether somebody may do an act. When this gives yes, that is on disk. `content` is what exactly would be done, so that a second person agrees to nothing else.
    ///
    /// # Errors
    /// When the policies do not permit it ([`Exit::Failed`]), or a second person has to agree first ([`Exit::Partial`]).
    pub async fn administer(&self, who: &Requester, act: &Act, content: &str) -> Result<Seq> {
        let (decision, first) = match self.policy.administer(who, act) {
            ActDecision::Decided(decision) => (decision, None),
            ActDecision::NeedsSecond(_) => {
                let mut waiting = waiting(&self.state)?;
                let requesters = self.requesters()?;
                let is_another = |first: &Requester| first.id != who.id && !requesters.was_added_by(&who.id, &first.id);
                let found = waiting.iter().position(|it| it.act == *act && it.content == content && is_another(&it.first));
                let Some(found) = found else { return Err(self.propose(waiting, who, act, content).await?) };
                let proposed = waiting.remove(found);
                let decision = match self.policy.administer(&proposed.first, act) {
                    ActDecision::NeedsSecond(proposal) => proposal.second(who, self.policy.as_ref()),
                    // The first may do it alone by now, and the second agrees; or may not any more.
                    ActDecision::Decided(decision) => decision,
                };
                kept::write(&self.state, PROPOSALS, &waiting)?;
                (decision, Some(proposed.first))
            }
        };
        let parts = json!({ "act": act, "content": content, "first": first.as_ref().map(|first| first.id.as_str()) });
        match decision {
            Decision::Permit(permit) => self.record(who, act, Verdict::Permit, &permit, first.map(|_| "second-agreed"), parts).await,
            Decision::Forbid { rules, policy_version, reason } => {
                let fields = Fields {
                    decision: Some(Verdict::Forbid),
                    rule: Some(rules.join(", ").into()),
                    policy_version: Some(policy_version),
                    ..Fields::default()
                };
                let record = self.write(who, act, fields, json!({ "act": act, "content": content, "reason": reason })).await?;
                let diagnosis = Diagnosis::new(format!("`{}` may not do this (`{}`): {reason}", who.id, act.name()));
                let help = format!(
                    "the refusal is record {record} (`bailiwick ledger show --record {record}`); `bailiwick policy show` prints the policies in force"
                );
                Err(Fault::of(Exit::Failed, vec![diagnosis.with_help(help)]))
            }
        }
    }

    /// Lets an act wait for a second person, and says so.
    async fn propose(&self, mut waiting: Vec<Waiting>, who: &Requester, act: &Act, content: &str) -> Result<Fault> {
        if !waiting.iter().any(|it| it.act == *act && it.content == content && it.first.id == who.id) {
            if waiting.len() >= PROPOSALS_MOST {
                let diagnosis = Diagnosis::new(format!("{PROPOSALS_MOST} acts wait for a second person already"));
                return Err(Fault::of(Exit::Failed, vec![diagnosis]));
            }
            waiting.push(Waiting { first: who.clone(), act: act.clone(), content: content.to_owned(), since_ms: now_ms() });
        }
        let ActDecision::NeedsSecond(proposal) = self.policy.administer(who, act) else {
            return Err(Fault::bad_input(Diagnosis::new("the policies have just changed: ask again")));
        };
        let fields = Fields {
            decision: Some(Verdict::Permit),
            rule: Some(proposal.rules().join(", ").into()),
            policy_version: Some(proposal.policy_version().clone()),
            reason: Some("needs-second".into()),
            ..Fields::default()
        };
        let record = self.write(who, act, fields, json!({ "act": act, "content": content })).await?;
        kept::write(&self.state, PROPOSALS, &waiting)?;
        let message = format!(
            "`{}` may do this (`{}`) only together with a second person; it waits, and nothing is done yet (record {record})",
            who.id,
            act.name()
        );
        let help = "another person who may do the same agrees by giving the same command within 7 days".to_owned();
        Ok(Fault::of(Exit::Partial, vec![Diagnosis::new(message).with_help(help)]))
    }

    async fn record(
        &self,
        who: &Requester,
        act: &Act,
        verdict: Verdict,
        permit: &Permit,
        reason: Option<&str>,
        parts: Value,
    ) -> Result<Seq> {
        let fields = Fields {
            decision: Some(verdict),
            rule: Some(permit.rules().join(", ").into()),
            policy_version: Some(permit.policy_version().clone()),
            reason: reason.map(Into::into),
            ..Fields::default()
        };
        self.write(who, act, fields, parts).await
    }

    async fn write(&self, who: &Requester, act: &Act, fields: Fields, parts: Value) -> Result<Seq> {
        let of = match act {
            Act::EraseSubject(of) | Act::HoldSubject(of) => Some(of.clone()),
            Act::Approve(waiting) => waiting.subject.clone().map(|id| DataSubject { tenant: waiting.tenant.clone(), id }),
            _ => None,
        };
        let agent = match act {
            Act::InstallAgent(facts) | Act::ActivateAgent(facts) | Act::AcceptWider(facts) => Some(facts.name.clone()),
            _ => None,
        };
        let (tenant, subject) = of.map_or((who.tenant.clone(), None), |of| (of.tenant, Some(of.id)));
        let context = RecordContext { tenant: Some(tenant), requester: Some(who.id.clone()), agent, ..RecordContext::default() };
        let fields = Fields { event: Some(act.name().into()), ..fields };
        // What is erased must not take the proof of who erased it along: that is nobody's data, so it names nobody.
        let is_erasing = matches!(act, Act::EraseSubject(_) | Act::HoldSubject(_));
        let subject = subject.filter(|_| !is_erasing);
        let mut all = vec![("attributes", json!(who.attributes).into())];
        if !is_erasing {
            all.insert(0, ("act", parts.into()));
        }
        let parts = all;
        let draft = Draft { kind: RecordKind::Administered, context: Arc::new(context), fields, payload: Some(Payload { subject, parts }) };
        let seq = self.ledger.append(draft).map_err(ledger_fault)?;
        self.ledger.durable(seq).await.map_err(ledger_fault)?;
        Ok(seq)
    }

    /// Stops something at its next call, until it is lifted: also over a restart.
    ///
    /// # Errors
    /// When nothing of that name is known, the policies do not permit it, or it cannot be written down (it is in force then, until the host ends).
    pub async fn freeze(&self, who: &Requester, scope: FreezeScope, reason: &str) -> Result<Value> {
        let _acting = self.acting.lock().await;
        self.policy.knows(&scope).map_err(|problem| Fault::bad_input(Diagnosis::new(problem.to_string())))?;
        if reason.len() > REASON_BYTES_MOST || self.policy.freezes().iter().count() >= FREEZES_MOST {
            let message = format!("a reason has at most {REASON_BYTES_MOST} bytes, and a host at most {FREEZES_MOST} freezes");
            return Err(Fault::bad_input(Diagnosis::new(message)));
        }
        let record = self.administer(who, &Act::Freeze(scope.clone()), reason).await?;
        let freeze = Freeze { scope, reason: reason.to_owned(), by: who.id.clone(), since_ms: now_ms() };
        // In force first: what has to stop does not wait for the disk.
        self.policy.freeze(freeze.clone()).map_err(|problem| Fault::bad_input(Diagnosis::new(problem.to_string())))?;
        kept::write(&self.state, FREEZES, self.policy.freezes().as_ref())?;
        Ok(json!({ "record": record, "freeze": freeze }))
    }

    /// Ends a freeze. What another freeze stops stays stopped.
    ///
    /// # Errors
    /// When there is none of this scope, the policies do not permit it, or it cannot be written down (it stays frozen then).
    pub async fn lift(&self, who: &Requester, scope: &FreezeScope) -> Result<Value> {
        let _acting = self.acting.lock().await;
        let mut freezes = (*self.policy.freezes()).clone();
        let Some(freeze) = freezes.lift(scope) else {
            let diagnosis = Diagnosis::new(format!("{scope} is not frozen"));
            return Err(Fault::bad_input(diagnosis.with_help("`bailiwick freeze list` lists what is".to_owned())));
        };
        let record = self.administer(who, &Act::Lift(scope.clone()), &freeze.reason).await?;
        // On disk first: what could not be written down stays frozen.
        kept::write(&self.state, FREEZES, &freezes)?;
        self.policy.lift(scope);
        Ok(json!({ "record": record, "lifted": freeze }))
    }

    /// Brings policies into force: for every call that begins after this returns.
    ///
    /// # Errors
    /// When anything is wrong with them, or those in force do not permit it. Those in force then stay.
    pub async fn install_policies(&self, who: &Requester, sources: Vec<PolicySource>) -> Result<Value> {
        let _acting = self.acting.lock().await;
        let policies =
            Policies::load(&sources, &self.catalog).map_err(|problems| Fault::bad_project(policy_problems(&sources, &problems)))?;
        let before = self.policy.version();
        if policies.version() == &before {
            return Ok(json!({ "version": before, "before": before, "changed": false }));
        }
        let record = self.administer(who, &Act::InstallPolicy, policies.version().as_str()).await?;
        let version = policies.version().clone();
        self.put_in_force(sources, Arc::new(policies)).await?;
        Ok(json!({ "version": version, "before": before, "changed": true, "record": record }))
    }

    async fn put_in_force(&self, sources: Vec<PolicySource>, policies: Arc<Policies>) -> Result<()> {
        let version = policies.version().clone();
        let in_force = InForce::new(version.clone(), sources);
        let fields = Fields { policy_version: Some(version), ..Fields::default() };
        // The text is kept, so that what a version permitted can be read when its files are long gone.
        let payload = Payload { subject: None, parts: vec![("start", json!({ "policies": in_force.files }).into())] };
        let draft =
            Draft { kind: RecordKind::PolicyInstalled, context: Arc::new(RecordContext::default()), fields, payload: Some(payload) };
        let seq = self.ledger.append(draft).map_err(ledger_fault)?;
        self.ledger.durable(seq).await.map_err(ledger_fault)?;
        kept::write(&self.state, POLICIES, &in_force)?;
        self.policy.install(policies);
        Ok(())
    }

    /// Gives the state folder back when everything is on disk.
    ///
    /// # Errors
    /// When not everything could be written.
    pub async fn close(self) -> Result<Vec<AnchorState>> {
        let Self { ledger, policy, .. } = self;
        drop(policy);
        match Arc::try_unwrap(ledger) {
            Ok(ledger) => ledger.close_anchored().map_err(ledger_fault),
            // What is left of a task that has ended may hold it a little longer.
            Err(shared) => flush(&shared).await,
        }
    }
}

/// Gives the policies that came into force last, as the ledger keeps them; `None` where none did, or their texts cannot be read.
fn recorded(ledger: &Ledger) -> Result<Option<InForce>> {
    let reader = ledger.reader().map_err(open_fault)?;
    let unreadable = |problem: bailiwick_ledger::ReadProblem| Fault::internal(problem.to_string());
    let Some(last) = reader.records(Filter::Kind(RecordKind::PolicyInstalled), Seq(0)).last() else { return Ok(None) };
    let last = last.map_err(unreadable)?;
    let (Some(payload), Some(version)) = (reader.payload(&last).map_err(unreadable)?, last.fields.policy_version) else { return Ok(None) };
    let files = payload.pointer("/start/policies").cloned().and_then(|files| serde_json::from_value(files).ok());
    Ok(files.map(|files| InForce { version, files }))
}

/// The time, in milliseconds since 1970-01-01T00:00:00Z; 0 before that.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Gives the policies that are in force in a state folder, with their version; `None` where none were yet.
///
/// # Errors
/// When that cannot be read.
pub fn in_force(state: &Path) -> Result<Option<(PolicyVersion, Vec<PolicySource>)>> {
    Ok(kept::read::<InForce>(state, POLICIES)?.map(|in_force| (in_force.version.clone(), in_force.sources())))
}

/// Loads the policies that are in force in a project's state folder, else those that a first start would bring into force; and names their files.
///
/// # Errors
/// When they cannot be read, or do not fit the operations.
pub fn policies_in_force(project: &Project, catalog: &Catalog) -> Result<(Policies, Vec<String>)> {
    let in_force = in_force(&project.state)?;
    let policies = match &in_force {
        Some((_, sources)) => Policies::load(sources, catalog).map_err(|problems| unfit(&problems))?,
        None => load_policies(project, catalog)?,
    };
    let sources = match in_force {
        Some((_, sources)) => sources,
        None => policy_sources(project)?,
    };
    Ok((policies, sources.into_iter().map(|source| source.name).collect()))
}

/// Gives the acts that wait for a second person in a state folder and are not too old.
///
/// # Errors
/// When that cannot be read.
pub fn waiting(state: &Path) -> Result<Vec<Waiting>> {
    let mut waiting = kept::read::<Vec<Waiting>>(state, PROPOSALS)?.unwrap_or_default();
    let now = now_ms();
    waiting.retain(|it| now.saturating_sub(it.since_ms) < PROPOSAL_MS_MOST);
    Ok(waiting)
}

/// Gives the freezes in force in a state folder.
///
/// # Errors
/// When that cannot be read.
pub fn frozen(state: &Path) -> Result<Freezes> {
    Ok(kept::read::<Freezes>(state, FREEZES)?.unwrap_or_default())
}

/// Reads a project's policies, or gives the default one.
///
/// # Errors
/// When a file cannot be read.
pub fn policy_sources(project: &Project) -> Result<Vec<PolicySource>> {
    if project.policies.is_empty() {
        return Ok(vec![PolicySource { name: "default.cedar".to_owned(), text: DEFAULT_POLICY.to_owned() }]);
    }
    let read = project.policies.iter().map(|file| {
        let source = project.read(file).map_err(Fault::bad_input)?;
        Ok(PolicySource { name: file.to_string_lossy().into_owned(), text: source.text.to_string() })
    });
    read.collect()
}

/// Loads a project's policies, or the default one.
///
/// # Errors
/// Everything that is wrong with them: the set is refused whole.
pub fn load_policies(project: &Project, catalog: &Catalog) -> Result<Policies> {
    load(project, &policy_sources(project)?, catalog)
}

fn load(project: &Project, sources: &[PolicySource], catalog: &Catalog) -> Result<Policies> {
    // Named as the person finds them.
    Policies::load(sources, catalog).map_err(|problems| {
        let shown: Vec<PolicySource> = sources.to_vec();
        let mut diagnoses = policy_problems(&shown, &problems);
        if project.policies.is_empty() {
            diagnoses.push(Diagnosis::new("the default policies do not fit this host: that is a fault of ours"));
        }
        Fault::bad_project(diagnoses)
    })
}

/// Words problems of policies for a person.
pub fn policy_problems(sources: &[PolicySource], problems: &[PolicyProblem]) -> Vec<Diagnosis> {
    let word = |problem: &PolicyProblem| {
        let diagnosis = Diagnosis::new(problem.reason.clone()).with_help(problem.help.clone());
        match (sources.iter().find(|source| source.name == problem.file), problem.place) {
            (Some(source), Some(place)) => {
                diagnosis.at(&Source::new(source.name.clone(), source.text.clone()), place.offset..place.offset + place.length)
            }
            (Some(source), None) => diagnosis.in_file(&Source::new(source.name.clone(), source.text.clone())),
            (None, _) => Diagnosis::new(problem.to_string()),
        }
    };
    problems.iter().map(word).collect()
}

/// Says that the policies in force do not fit the operations of this program.
fn unfit(problems: &[PolicyProblem]) -> Fault {
    let first = problems.first().map(ToString::to_string).unwrap_or_default();
    let diagnosis = Diagnosis::new(format!(
        "the policies in force do not fit the operations that this version of the program knows: {}",
        text::clean(&first)
    ));
    let help = format!(
        "run the version that they came into force with, or take `{POLICIES}` out of the state folder: the project's policies then come into force, and that is on record"
    );
    Fault::bad_input(diagnosis.with_help(help))
}

#[cfg(test)]
mod tests;
