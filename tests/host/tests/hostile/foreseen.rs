//! What is said of an agent before anything runs, against what a guest gets that imports every operation there is and tries them one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bailiwick_core::AgentRunner as _;
use bailiwick_core::capability::{Catalog, Operation};
use bailiwick_core::grant::Condition;
use bailiwick_core::ids::{AgentName, TenantId};
use bailiwick_core::policy::{AgentFacts, Foreseen, PolicyEngine, Prospect};
use bailiwick_core::runner::{EndReason, TaskOutcome};
use bailiwick_policy::{CedarEngine, DEFAULT_POLICY, Freezes, Policies, PolicySource};
use bailiwick_test_artifacts::{self as artifacts, Artifact};
use bailiwick_test_host::upstream::CUSTOMER;
use bailiwick_test_host::{Bench, Settings};
use serde_json::json;

use crate::settings;

/// Two more rules than the default: one that shuts a package, one that turns on what the task has read.
const SHUT: &str = "
    @id(\"no-parcels\") forbid (principal, action in Bailiwick::Action::\"shipping\", resource);
    @id(\"no-hearsay\") forbid (principal, action in Bailiwick::Action::\"billing\", resource) when { context.labels.contains(\"untrusted\") };
";

struct Probe {
    bench: Bench,
    engine: Arc<CedarEngine>,
    agent: AgentFacts,
}

impl Probe {
    async fn open(artifact: &Artifact, more: &str) -> Result<Self> {
        let catalog = bailiwick_wit::builtin_catalog()?;
        let files = [DEFAULT_POLICY, more].map(|text| PolicySource { name: format!("{}.cedar", text.len()), text: text.to_owned() });
        let policies = Policies::load(&files, &catalog).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        let engine = Arc::new(CedarEngine::new(Arc::new(policies), Freezes::default()));
        let policy = Arc::clone(&engine) as Arc<dyn PolicyEngine>;
        let bench = Bench::open(Settings { policy, ..settings() }).await?;
        bench.install(artifact).await?;
        let info = bench.sandbox.agent(&AgentName::from(artifact.agent())).context("it is installed")?;
        let imports: BTreeSet<&str> = info.imports.iter().map(String::as_str).collect();
        let all = operations(&catalog).all(|operation| imports.contains(&*operation.full));
        ensure!(all && imports.len() == operations(&catalog).count(), "the guest has to import every operation, and imports {imports:?}");
        let agent = AgentFacts {
            name: info.name.clone(),
            version: info.version.clone(),
            tier: 0,
            data_level: info.data_level.clone(),
            risk_class: info.risk_class.clone(),
        };
        Ok(Self { bench, engine, agent })
    }

    /// Lets the guest call an operation: about `id`, with labels on its input, under a grant or without. Says whether the call got through the gate.
    async fn gets_through(&self, operation: &Operation, id: &str, labels: &[&str], is_granted: bool) -> Result<bool> {
        let mut task = self.bench.task_of(self.agent.name.as_str()).input(json!({ "id": id, "text": &*operation.short }));
        task.spec.labels = labels.iter().map(|label| (*label).to_owned()).collect();
        if is_granted {
            let is_bound = |name: &str| operation.spec.bound_arguments().any(|(_, path)| path.to_string() == name);
            let condition = |name: &str| if is_bound(name) { Condition::Equals(json!(id)) } else { Condition::Any };
            let conditions: Vec<(&str, Condition)> =
                operation.signature.params.iter().map(|(name, _)| (name.as_str(), condition(name))).collect();
            task = task.grant(&operation.short, &conditions)?;
        }
        let (report, _) = task.run().await;
        let result = match &report.outcome {
            TaskOutcome::Answered(answer) => answer.output.pointer("/results/0").and_then(|result| result.as_str()).unwrap_or_default(),
            TaskOutcome::Ended(EndReason::GrantDenied { .. }) => "denied",
            other => bail!("`{}`: {other:?}", operation.short),
        };
        ensure!(!result.is_empty() && result != "unknown" && result != "invalid", "`{}` was not called: `{result}`", operation.short);
        Ok(result != "denied")
    }

    /// Tries an operation about the run's subject and about somebody else, before and after untrusted text was read; gives what the guest got, in a word.
    async fn found(&self, operation: &Operation) -> Result<&'static str> {
        ensure!(!self.gets_through(operation, CUSTOMER, &[], false).await?, "`{}` got through without a grant", operation.short);
        let mut seen = BTreeSet::new();
        for id in [CUSTOMER, "C-77"] {
            for labels in [&[][..], &["untrusted"]] {
                seen.insert(self.gets_through(operation, id, labels, true).await?);
            }
        }
        Ok(match (seen.contains(&true), seen.contains(&false)) {
            (true, false) => "always",
            (false, true) => "never",
            _ => "depends",
        })
    }

    fn foreseen(&self, operation: &Operation) -> &'static str {
        let known = Foreseen { agent: &self.agent, tenant: &TenantId::from("nordwind"), place: None, bound: None };
        match self.engine.prospect(&known, operation) {
            Prospect::Always { .. } => "always",
            Prospect::Depends { .. } => "depends",
            Prospect::Never { .. } => "never",
        }
    }
}

/// Every operation but those that need more than an id to be called at all: web addresses and delegated tasks have guests of their own.
fn operations(catalog: &Catalog) -> impl Iterator<Item = &Arc<Operation>> {
    let elsewhere = ["bailiwick:web", "bailiwick:delegate"];
    catalog.iter().filter(move |operation| !elsewhere.contains(&operation.id.interface.package.as_str()))
}

/// Tries everything and compares; gives the list.
async fn compared(artifact: &Artifact, more: &str) -> Result<BTreeMap<String, &'static str>> {
    let probe = Probe::open(artifact, more).await?;
    let mut list = BTreeMap::new();
    for operation in operations(&bailiwick_wit::builtin_catalog()?) {
        let (foreseen, found) = (probe.foreseen(operation), probe.found(operation).await?);
        ensure!(foreseen == found, "`{}` was foreseen as `{foreseen}`, and the guest found `{found}`", operation.short);
        list.insert(operation.short.to_string(), found);
    }
    Ok(list)
}

fn with<'l>(list: &'l BTreeMap<String, &'static str>, word: &str) -> Vec<&'l str> {
    list.iter().filter(|(_, found)| **found == word).map(|(name, _)| name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn grants_tries_everything() -> Result<()> {
    let list = compared(&artifacts::GRANTS_TRIES_EVERYTHING, "").await?;
    ensure!(with(&list, "never").is_empty() && with(&list, "depends") == ["notify/messages.send"], "{list:?}");
    let list = compared(&artifacts::GRANTS_TRIES_EVERYTHING, SHUT).await?;
    ensure!(with(&list, "never") == ["shipping/parcels.create-label", "shipping/parcels.void-label"], "{list:?}");
    ensure!(with(&list, "depends") == ["billing/accounts.set-return-status", "notify/messages.send"], "{list:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn grants_tries_everything_internal() -> Result<()> {
    let list = compared(&artifacts::GRANTS_TRIES_EVERYTHING_INTERNAL, "").await?;
    let personal =
        ["crm/customers.get", "crm/notes.append", "notify/messages.send", "shipping/parcels.create-label", "ticketing/tickets.create"];
    ensure!(with(&list, "never") == personal && with(&list, "depends").is_empty(), "{list:?}");
    Ok(())
}
