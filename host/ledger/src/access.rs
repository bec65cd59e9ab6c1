//! Who touched a data subject: every call that was about it, or that named it.
//!
//! What a subject's data are filed under is a keyed hash, so its tasks are found by the index of that and not by its name. Calls of other tasks
//! that name the subject are found by opening the arguments that are kept of them: that costs by the number of calls in the time asked for.

mod names;
mod scan;

use std::sync::Arc;

use bailiwick_core::ids::{RunId, Seq, SubjectId, TenantId, WorkflowName};
use bailiwick_core::record::{CallOutcome, RecordContext};
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;

use crate::error::ReadProblem;
use crate::reader::{Filter, Reader};
use scan::Scan;

pub use names::FIELDS_NAMED;

/// Whose accesses are asked for, and of which time.
#[derive(Debug, Clone, Copy)]
pub struct AccessQuery<'a> {
    /// The subject's tenant.
    pub tenant: Option<&'a TenantId>,
    /// The subject.
    pub subject: &'a SubjectId,
    /// Calls from this moment on, in milliseconds since 1970-01-01T00:00:00Z.
    pub from_ms: Option<u64>,
    /// Calls before this moment, in milliseconds since 1970-01-01T00:00:00Z.
    pub to_ms: Option<u64>,
}

/// What an access has to do with the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// The task was about the subject.
    About,
    /// The task was about somebody else, and an argument of the call is the subject's id.
    NamedByOther,
    /// The task was about nobody, and an argument of the call is the subject's id.
    NamedByNobody,
}

/// Names of the fields of arguments or of an answer; their values are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FieldNames {
    /// Paths in the order of the payload, at most [`FIELDS_NAMED`]: `*` for the elements of a list, `(value)` for a value that has no fields. What is null
    /// is left out.
    pub names: Vec<String>,
    /// Fields beyond those.
    pub more: usize,
    /// Whether the fields are not known: the payload is missing, too large to have been kept, or too deep to be looked at.
    pub unknown: bool,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Access {
    /// The record of the call's intent; of its denial where it was denied before anything left.
    pub seq: Seq,
    /// The record of its outcome; `None` where none is on record, so that it may have happened.
    pub outcome_seq: Option<Seq>,
    /// When it began, in milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: u64,
    /// What the call has to do with the subject.
    pub relation: Relation,
    /// Whose and which.
    #[serde(flatten)]
    pub context: Arc<RecordContext>,
    /// The agent's version, where it is on record.
    pub agent_version: Option<Arc<str>>,
    /// The operation in full.
    pub operation: Arc<str>,
    /// What became of it.
    pub outcome: Option<CallOutcome>,
    /// The rule that forbade it, where one did: the call, or the delivery of its answer.
    pub rule: Option<Arc<str>>,
    /// Case of its error, where it gave one.
    pub reason: Option<Arc<str>>,
    /// Fields that were passed.
    pub passed: FieldNames,
    /// Fields that the agent was given. What was withheld from it is not among them.
    pub given: FieldNames,
    /// How long it took, in microseconds.
    pub duration_us: Option<u64>,
}

/// A run about the subject that was asked for and not permitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RefusedRun {
    /// The record.
    pub seq: Seq,
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: u64,
    /// Who asked.
    pub requester: Option<String>,
    /// The workflow.
    pub workflow: Option<WorkflowName>,
    /// The run that was not opened.
    pub run: Option<RunId>,
    /// The rules that forbade it; empty where none permitted it.
    pub rule: Option<Arc<str>>,
}

/// What is on record of accesses to a subject.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Accesses {
    /// The calls, in the order of their records.
    pub calls: Vec<Access>,
    /// The runs that were refused, in the order of their records.
    pub refused_runs: Vec<RefusedRun>,
    /// Erasures on record, of whomever: what was erased is found under no subject any more.
    pub erasures: u64,
}

impl Reader {
    /// Gives every call about a data subject, and every call of other tasks whose kept arguments have the subject's id as a whole text value.
    ///
    /// Not found are calls of an erased subject's tasks, calls of other tasks whose arguments were erased with *their* subject or never kept, and
    /// what an answer says of the subject in a task about somebody else. Needs the state folder's subject key and payload keys.
    ///
    /// # Errors
    /// When a key is missing, or a record or payload cannot be read or is not what was written.
    pub fn accesses(&self, query: &AccessQuery<'_>) -> Result<Accesses, ReadProblem> {
        // At one moment, since an executor may be writing.
        let _moment = self.connection().unchecked_transaction()?;
        let from = query.from_ms.map_or(Ok(Seq(0)), |time_ms| self.first_at(time_ms))?;
        let end = query.to_ms.map(|time_ms| self.first_at(time_ms)).transpose()?;
        let mut scan = Scan::new(self, query, from, end)?;
        for task in scan.tasks_about()? {
            scan.read_task(&task)?;
        }
        scan.read_named_intents()?;
        scan.read_named_denials()?;
        let refused_runs = self.refused_runs(query, from, end)?;
        let erasures = "SELECT count(*) FROM records INDEXED BY records_kind WHERE kind = 'subject-erased'";
        let erasures: i64 = self.connection().query_row(erasures, [], |row| row.get(0))?;
        Ok(Accesses { calls: scan.into_calls(), refused_runs, erasures: erasures.cast_unsigned() })
    }

    /// Finds the first record at or after a moment; times never go back from record to record.
    fn first_at(&self, time_ms: u64) -> Result<Seq, ReadProblem> {
        let last: Option<i64> = self.connection().query_row("SELECT max(seq) FROM records", [], |row| row.get(0)).optional()?.flatten();
        let (mut low, mut high) = (0, last.map_or(0, |last| last.cast_unsigned() + 1));
        while low < high {
            let middle = low + (high - low) / 2;
            let missing = || ReadProblem::Record { seq: Seq(middle), reason: "it is missing".to_owned() };
            if self.envelope(Seq(middle))?.ok_or_else(missing)?.time_ms < time_ms {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(Seq(low))
    }

    fn refused_runs(&self, query: &AccessQuery<'_>, from: Seq, end: Option<Seq>) -> Result<Vec<RefusedRun>, ReadProblem> {
        let sql = "SELECT payloads.seq FROM payloads INDEXED BY payloads_subject JOIN records ON records.seq = payloads.seq
             WHERE subject = ?1 AND kind = 'run-denied' AND payloads.seq >= ?2 AND payloads.seq < ?3 ORDER BY payloads.seq";
        let subject = self.key_of(Filter::Subject(query.tenant, query.subject))?;
        let mut statement = self.connection().prepare_cached(sql)?;
        let found = statement.query_map(params![subject, scan::bound(from), scan::bound_or_last(end)], |row| row.get::<_, i64>(0))?;
        let mut refused = Vec::new();
        for seq in found {
            let Some(envelope) = self.envelope(Seq(seq?.cast_unsigned()))? else { continue };
            refused.push(RefusedRun {
                seq: envelope.seq,
                time_ms: envelope.time_ms,
                requester: envelope.context.requester,
                workflow: envelope.context.workflow,
                run: envelope.context.run,
                rule: envelope.fields.rule,
            });
        }
        Ok(refused)
    }
}
