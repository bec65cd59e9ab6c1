//! What is done about data subjects and about keys while a ledger is open: erasing, holding, rotating.

use std::sync::Arc;
use std::sync::mpsc;

use bailiwick_core::Recorder as _;
use bailiwick_core::ids::{Seq, SubjectId, TenantId};
use bailiwick_core::record::{Draft, Fields, LedgerFailure, Payload, RecordContext, RecordKind};
use serde_json::json;

use crate::error::OpenProblem;
use crate::ledger::Ledger;
use crate::orders::{Erase, Erasure, Order, Rotate};
use crate::signing::{HostKey, Signer};

/// An erasure that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Its record.
    pub record: Seq,
    /// How many records have lost their payload. None is not a mistake: the subject may never have been heard of.
    pub payloads: u64,
}

/// Why a data subject was not erased.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EraseProblem {
    /// The subject's data must be kept.
    #[error("the data subject is under a hold since record {hold}: release it first; the refusal is record {record}")]
    Held {
        /// The record of the hold.
        hold: Seq,
        /// The record of this refusal.
        record: Seq,
    },
    /// The ledger cannot be written.
    #[error(transparent)]
    Failed(#[from] LedgerFailure),
}

/// Why the key was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RotateProblem {
    /// A key signs under the ledger's name.
    #[error("the new key is named `{given}`, the ledger `{origin}`: a ledger keeps its name, so make the key under that one")]
    Origin {
        /// The ledger's name.
        origin: String,
        /// The new key's.
        given: String,
    },
    /// The new key cannot be made.
    #[error(transparent)]
    Key(#[from] OpenProblem),
    /// The ledger cannot be written.
    #[error(transparent)]
    Failed(#[from] LedgerFailure),
}

fn context(tenant: Option<&TenantId>, requester: Option<&str>) -> Arc<RecordContext> {
    Arc::new(RecordContext { tenant: tenant.cloned(), requester: requester.map(str::to_owned), ..RecordContext::default() })
}

impl Ledger {
    /// Erases a data subject of a tenant: key, salts and payloads are destroyed, and the erasure is on record, when this returns. The
    /// envelopes stay, and with them the tree. What is appended about the subject afterwards is sealed with a new key.
    ///
    /// Waits for the disk, so it must not be called where nothing may block.
    ///
    /// # Errors
    /// When a hold forbids it, which is on record too, or when the ledger cannot be written.
    pub fn erase(&self, tenant: Option<&TenantId>, subject: &SubjectId, requester: Option<&str>) -> Result<Erased, EraseProblem> {
        let subject = self.subject_key.file_under(tenant, subject);
        let (answer, answered) = mpsc::channel();
        self.queue.order(Order::Erase(Erase { subject, context: context(tenant, requester), answer }))?;
        match answered.recv() {
            Ok(Erasure::Done { record, payloads }) => Ok(Erased { record, payloads }),
            Ok(Erasure::Held { hold, record }) => Err(EraseProblem::Held { hold, record }),
            Err(_) => Err(EraseProblem::Failed(self.gone())),
        }
    }

    /// Has a data subject's payloads kept: erasing is refused until the hold is released. The reason is kept as data of the subject.
    /// In force when the record is on disk.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn hold(
        &self,
        tenant: Option<&TenantId>,
        subject: &SubjectId,
        requester: Option<&str>,
        reason: &str,
    ) -> Result<Seq, LedgerFailure> {
        self.about(RecordKind::SubjectHeld, tenant, subject, requester, reason)
    }

    /// Releases the hold on a data subject, whether there is one or not.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn release(
        &self,
        tenant: Option<&TenantId>,
        subject: &SubjectId,
        requester: Option<&str>,
        reason: &str,
    ) -> Result<Seq, LedgerFailure> {
        self.about(RecordKind::SubjectReleased, tenant, subject, requester, reason)
    }

    fn about(
        &self,
        kind: RecordKind,
        tenant: Option<&TenantId>,
        subject: &SubjectId,
        requester: Option<&str>,
        reason: &str,
    ) -> Result<Seq, LedgerFailure> {
        let payload = Payload { subject: Some(subject.clone()), parts: vec![("hold", json!({ "reason": reason }).into())] };
        self.append(Draft { kind, context: context(tenant, requester), fields: Fields::default(), payload: Some(payload) })
    }

    /// Makes a new key of the host's own and has it sign from the next record on. The record of the change is the last that the old
    /// key signs. Waits for the disk.
    ///
    /// # Errors
    /// When the key cannot be made, or the ledger cannot be written.
    pub fn rotate_key(&self, requester: Option<&str>) -> Result<Seq, RotateProblem> {
        // One at a time, also against another rotation: both would write the same file.
        let mut current = self.key.lock();
        let next = Arc::new(HostKey::draft(&self.paths, Some(current.name()))?);
        let seq = self.rotate(Arc::clone(&next) as Arc<dyn Signer>, requester, true)?;
        *current = next.verifier_key().clone();
        Ok(seq)
    }

    /// Has another signer sign from the next record on, as [`Ledger::rotate_key`]. From then on the ledger has to be opened with it.
    ///
    /// # Errors
    /// When its key has another name than the ledger, or the ledger cannot be written.
    pub fn rotate_to(&self, signer: Arc<dyn Signer>, requester: Option<&str>) -> Result<Seq, RotateProblem> {
        let mut current = self.key.lock();
        let next = signer.verifier_key().clone();
        if next.name() != current.name() {
            return Err(RotateProblem::Origin { origin: current.name().to_owned(), given: next.name().to_owned() });
        }
        let seq = self.rotate(signer, requester, false)?;
        *current = next;
        Ok(seq)
    }

    fn rotate(&self, signer: Arc<dyn Signer>, requester: Option<&str>, is_host_key: bool) -> Result<Seq, LedgerFailure> {
        let (answer, answered) = mpsc::channel();
        self.queue.order(Order::Rotate(Rotate { signer, context: context(None, requester), is_host_key, answer }))?;
        answered.recv().map_err(|_| self.gone())
    }

    fn gone(&self) -> LedgerFailure {
        self.queue.failure().unwrap_or_else(|| LedgerFailure("the writer thread is gone".to_owned()))
    }
}
