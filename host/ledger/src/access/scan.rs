//! Reading the records of calls, each with its payload, in few passes.

use std::collections::HashMap;
use std::sync::Arc;

use bailiwick_core::canonical;
use bailiwick_core::ids::{Seq, TaskId, TenantId};
use bailiwick_core::record::{CallOutcome, Envelope, RecordContext, RecordKind, Verdict};
use rusqlite::types::Value as SqlValue;
use rusqlite::{Row, params};
use serde_json::Value;

use super::names::{self, Parts};
use super::{Access, AccessQuery, FieldNames, Relation};
use crate::error::ReadProblem;
use crate::reader::{Filter, Reader, decode};
use crate::secrets::commitment;
use crate::unseal::{Unsealed, Unsealer};

const TASKS_ABOUT: &str =
    "SELECT DISTINCT records.task FROM payloads INDEXED BY payloads_subject JOIN records ON records.seq = payloads.seq
     WHERE subject = ?1 AND payloads.seq < ?2 AND records.task IS NOT NULL";
/// A task's calls, and its start for the agent's version.
const OF_TASK: &str = "SELECT records.seq, leaf, envelope, payloads.subject, payloads.key, payloads.body
     FROM records INDEXED BY records_task LEFT JOIN payloads ON payloads.seq = records.seq
     WHERE task = ?1 AND kind IN ('task-started', 'call-intent', 'call-outcome') ORDER BY records.seq";
const OTHER_INTENTS: &str = "SELECT records.seq, leaf, envelope, payloads.subject, payloads.key, payloads.body
     FROM records INDEXED BY records_kind CROSS JOIN payloads ON payloads.seq = records.seq
     WHERE kind = 'call-intent' AND records.seq >= ?1 AND records.seq < ?2 AND payloads.subject IS NOT ?3 ORDER BY records.seq";
/// An envelope is canonical, and a quote within one of its texts has a backslash before it: the words stand there for denials alone.
const OTHER_DENIALS: &str = "SELECT records.seq, leaf, envelope, payloads.subject, payloads.key, payloads.body
     FROM records INDEXED BY records_kind CROSS JOIN payloads ON payloads.seq = records.seq
     WHERE kind = 'call-outcome' AND records.seq >= ?1 AND records.seq < ?2 AND payloads.subject IS NOT ?3
     AND instr(envelope, CAST('\"outcome\":\"denied\"' AS BLOB)) > 0 ORDER BY records.seq";

/// The calls that were found, and what is needed to find more.
pub(super) struct Scan<'a> {
    reader: &'a Reader,
    /// Keeps keys as long as the question lasts and no longer: they may be destroyed after.
    unsealer: Unsealer,
    filed_under: SqlValue,
    tenant: Option<&'a TenantId>,
    subject: &'a str,
    /// The subject's id as it stands in a payload.
    written: Vec<u8>,
    from: Seq,
    end: Option<Seq>,
    calls: Vec<Access>,
}

/// A sequence as the database has it.
pub(super) fn bound(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

/// As [`bound`]; beyond every record where there is none.
pub(super) fn bound_or_last(seq: Option<Seq>) -> i64 {
    seq.map_or(i64::MAX, bound)
}

impl<'a> Scan<'a> {
    pub(super) fn new(reader: &'a Reader, query: &AccessQuery<'a>, from: Seq, end: Option<Seq>) -> Result<Self, ReadProblem> {
        Ok(Self {
            reader,
            unsealer: Unsealer::to_verify(reader.paths(), reader.connection()),
            filed_under: reader.key_of(Filter::Subject(query.tenant, query.subject))?.unwrap_or(SqlValue::Null),
            tenant: query.tenant,
            subject: query.subject.as_str(),
            written: canonical::to_bytes(&Value::from(query.subject.as_str())),
            from,
            end,
            calls: Vec::new(),
        })
    }

    pub(super) fn into_calls(self) -> Vec<Access> {
        let mut calls = self.calls;
        calls.sort_by_key(|call| call.seq);
        calls
    }

    /// Finds the tasks that have data of the subject.
    pub(super) fn tasks_about(&self) -> Result<Vec<TaskId>, ReadProblem> {
        let mut statement = self.reader.connection().prepare_cached(TASKS_ABOUT)?;
        let found = statement.query_map(params![self.filed_under, bound_or_last(self.end)], |row| row.get::<_, String>(0))?;
        found.map(|task| Ok(TaskId::from(task?))).collect()
    }

    /// Reads the calls of a task about the subject, those that were denied without a payload among them.
    pub(super) fn read_task(&mut self, task: &TaskId) -> Result<(), ReadProblem> {
        let mut statement = self.reader.connection().prepare_cached(OF_TASK)?;
        let mut rows = statement.query([task.as_str()])?;
        let mut version = None;
        let mut context: Option<Arc<RecordContext>> = None;
        let mut open: HashMap<Seq, usize> = HashMap::new();
        while let Some(row) = rows.next()? {
            let envelope = decode(row)?;
            let seq = envelope.seq;
            let is_wanted = self.from <= seq && self.end.is_none_or(|end| seq < end);
            match (envelope.kind, envelope.fields.intent) {
                (RecordKind::TaskStarted, _) => version = self.with_body(row, &envelope, version_of)?.flatten(),
                (RecordKind::CallIntent, _) if is_wanted => {
                    let parts = self.names(row, &envelope)?;
                    open.insert(seq, self.calls.len());
                    self.calls.push(call_of(envelope, parts.args, Relation::About, version.clone(), &mut context));
                }
                (RecordKind::CallOutcome, Some(intent)) => {
                    let Some(at) = open.remove(&intent) else { continue };
                    let parts = self.names(row, &envelope)?;
                    if let Some(call) = self.calls.get_mut(at) {
                        conclude(call, envelope, parts.result);
                    }
                }
                // Denied before anything left.
                (RecordKind::CallOutcome, None) if is_wanted => {
                    let passed = self.passed(row, &envelope)?;
                    self.calls.push(denial_of(envelope, passed, Relation::About, version.clone(), &mut context));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads calls of other tasks that left and whose arguments name the subject.
    pub(super) fn read_named_intents(&mut self) -> Result<(), ReadProblem> {
        let found = self.named(OTHER_INTENTS)?;
        for (envelope, args, relation) in found {
            let intent = envelope.seq;
            let task = envelope.context.task.clone();
            let version = self.version_for(&envelope)?;
            let mut call = call_of(envelope, args, relation, version, &mut None);
            let outcome = task.map(|task| self.outcome_of(&task, intent)).transpose()?.flatten();
            if let Some((outcome, given)) = outcome {
                conclude(&mut call, outcome, given);
            }
            self.calls.push(call);
        }
        Ok(())
    }

    /// Reads denied calls of other tasks whose arguments name the subject.
    pub(super) fn read_named_denials(&mut self) -> Result<(), ReadProblem> {
        for (envelope, passed, relation) in self.named(OTHER_DENIALS)? {
            // One that left and whose answer was withheld was found by its intent.
            if envelope.fields.intent.is_none() {
                let version = self.version_for(&envelope)?;
                self.calls.push(denial_of(envelope, passed, relation, version, &mut None));
            }
        }
        Ok(())
    }

    fn named(&mut self, sql: &str) -> Result<Vec<(Envelope, FieldNames, Relation)>, ReadProblem> {
        let mut statement = self.reader.connection().prepare_cached(sql)?;
        let mut rows = statement.query(params![bound(self.from), bound_or_last(self.end), self.filed_under])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if !self.has_written(row)? {
                continue;
            }
            let envelope = decode(row)?;
            // The same text is the id of somebody else there.
            if envelope.context.tenant.as_ref() != self.tenant {
                continue;
            }
            let subject = self.subject;
            let names_it = self.with_body(row, &envelope, |body| is_named(body, subject))?.unwrap_or(false);
            if names_it {
                let args = self.names(row, &envelope)?.args;
                let relation = if row.get_ref(3)?.as_blob_or_null().ok().flatten().is_some() {
                    Relation::NamedByOther
                } else {
                    Relation::NamedByNobody
                };
                found.push((envelope, args, relation));
            }
        }
        Ok(found)
    }

    fn outcome_of(&mut self, task: &TaskId, intent: Seq) -> Result<Option<(Envelope, FieldNames)>, ReadProblem> {
        let mut statement = self.reader.connection().prepare_cached(OF_TASK)?;
        let mut rows = statement.query([task.as_str()])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(0)?.cast_unsigned() <= intent.0 {
                continue;
            }
            let envelope = decode(row)?;
            if envelope.fields.intent == Some(intent) {
                let given = self.names(row, &envelope)?.result;
                return Ok(Some((envelope, given)));
            }
        }
        Ok(None)
    }

    /// Finds the version of the agent of a call.
    fn version_for(&mut self, envelope: &Envelope) -> Result<Option<Arc<str>>, ReadProblem> {
        let Some(task) = &envelope.context.task else { return Ok(None) };
        let mut statement = self.reader.connection().prepare_cached(OF_TASK)?;
        let mut rows = statement.query([task.as_str()])?;
        // A task's start is its first record of these.
        let Some(row) = rows.next()? else { return Ok(None) };
        let start = decode(row)?;
        if start.kind != RecordKind::TaskStarted {
            return Ok(None);
        }
        Ok(self.with_body(row, &start, version_of)?.flatten())
    }

    /// Gives the names of what was passed in a denied call.
    fn passed(&mut self, row: &Row<'_>, envelope: &Envelope) -> Result<FieldNames, ReadProblem> {
        let args = self.names(row, envelope)?.args;
        let is_kept = self.with_body(row, envelope, |body| args_of(body).is_some_and(|args| !names::is_stand_in(&args)))?;
        let unknown = FieldNames { unknown: true, ..FieldNames::default() };
        Ok(if is_kept == Some(true) { args } else { unknown })
    }

    fn names(&mut self, row: &Row<'_>, envelope: &Envelope) -> Result<Parts, ReadProblem> {
        let unknown = || FieldNames { unknown: envelope.commitment.is_some(), ..FieldNames::default() };
        Ok(self.with_body(row, envelope, names::parts_of)?.unwrap_or_else(|| Parts { args: unknown(), result: unknown() }))
    }

    /// Whether the subject's id stands anywhere in a payload, before anything is made of it. What is compared here is compared with its commitment when it
    /// is used.
    fn has_written(&mut self, row: &Row<'_>) -> Result<bool, ReadProblem> {
        let seq = Seq(row.get::<_, i64>(0)?.cast_unsigned());
        let written = &self.written;
        match open(&mut self.unsealer, seq, row)? {
            // Damage is reported as such by whoever reads the record, and by `verify`.
            Unsealed::Open(_, body) => Ok(body.windows(written.len()).any(|window| window == written.as_slice())),
            Unsealed::Bad => Err(bad(seq, "its payload is not what was sealed for it, or its key was destroyed")),
            Unsealed::NoKeys => Err(ReadProblem::PayloadKeys { path: self.reader.paths().payload_keys.clone() }),
        }
    }

    /// Hands the body of a payload to a function, after having compared it with the commitment; `None` where there is no payload.
    fn with_body<T>(&mut self, row: &Row<'_>, envelope: &Envelope, take: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, ReadProblem> {
        let Some(committed) = envelope.commitment else { return Ok(None) };
        if row.get_ref(5)?.as_blob_or_null().ok().flatten().is_none() {
            return Ok(None);
        }
        let subject = row.get_ref(3)?.as_blob_or_null().ok().flatten().unwrap_or_default();
        match open(&mut self.unsealer, envelope.seq, row)? {
            Unsealed::Open(salt, body) if commitment(salt, subject, body) == committed => Ok(Some(take(body))),
            Unsealed::Open(..) => Err(bad(envelope.seq, "its payload is not the one that it commits to")),
            Unsealed::Bad => Err(bad(envelope.seq, "its payload is not what was sealed for it, or its key was destroyed")),
            Unsealed::NoKeys => Err(ReadProblem::PayloadKeys { path: self.reader.paths().payload_keys.clone() }),
        }
    }
}

fn bad(seq: Seq, reason: &str) -> ReadProblem {
    ReadProblem::Record { seq, reason: reason.to_owned() }
}

/// Opens the payload in columns 3 to 5 of a row.
fn open<'u>(unsealer: &'u mut Unsealer, seq: Seq, row: &Row<'_>) -> Result<Unsealed<'u>, ReadProblem> {
    let subject = row.get_ref(3)?.as_blob_or_null().ok().flatten().unwrap_or_default();
    let sealed = row.get_ref(5)?.as_blob_or_null().ok().flatten().unwrap_or_default();
    Ok(unsealer.open(seq, subject, row.get::<_, i64>(4)?.cast_unsigned(), sealed))
}

fn args_of(body: &[u8]) -> Option<Value> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    value.get_mut("args").map(Value::take)
}

fn is_named(body: &[u8], subject: &str) -> bool {
    args_of(body).is_some_and(|args| names::has_text(&args, subject))
}

fn version_of(body: &[u8]) -> Option<Arc<str>> {
    let value: Value = serde_json::from_slice(body).ok()?;
    value.get("start")?.get("agent-version")?.as_str().map(Arc::from)
}

/// Makes a call of its intent. Records of a task have the same context, so it is kept once.
fn call_of(
    envelope: Envelope,
    passed: FieldNames,
    relation: Relation,
    agent_version: Option<Arc<str>>,
    context: &mut Option<Arc<RecordContext>>,
) -> Access {
    let shared = match context {
        Some(shared) if **shared == envelope.context => Arc::clone(shared),
        _ => Arc::clone(context.insert(Arc::new(envelope.context))),
    };
    Access {
        seq: envelope.seq,
        outcome_seq: None,
        time_ms: envelope.time_ms,
        relation,
        context: shared,
        agent_version,
        operation: envelope.fields.operation.unwrap_or_else(|| Arc::from("")),
        outcome: None,
        rule: None,
        reason: None,
        passed,
        given: FieldNames::default(),
        duration_us: None,
    }
}

/// Makes a call of its denial.
fn denial_of(
    mut envelope: Envelope,
    passed: FieldNames,
    relation: Relation,
    agent_version: Option<Arc<str>>,
    context: &mut Option<Arc<RecordContext>>,
) -> Access {
    let (outcome, rule, reason) = (envelope.fields.outcome, envelope.fields.rule.take(), envelope.fields.reason.take());
    let seq = envelope.seq;
    Access { outcome_seq: Some(seq), outcome, rule, reason, ..call_of(envelope, passed, relation, agent_version, context) }
}

fn conclude(call: &mut Access, outcome: Envelope, given: FieldNames) {
    let fields = outcome.fields;
    let is_withheld = fields.decision == Some(Verdict::Forbid) || fields.outcome == Some(CallOutcome::Denied);
    call.outcome_seq = Some(outcome.seq);
    call.outcome = fields.outcome;
    call.rule = fields.rule;
    call.reason = fields.reason;
    call.duration_us = fields.duration_us;
    call.given = if is_withheld { FieldNames::default() } else { given };
}
