//! Confused deputies: the host acts for a requester, and what the requester, the workflow or an agent names belongs to somebody else. The
//! connectors are those of the sample, each behind a journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bailiwick_connectors::{Connectors, Journal, generator};
use bailiwick_core::Connector;
use bailiwick_core::capability::Catalog;
use bailiwick_core::event::Outcome;
use bailiwick_core::grant::Condition;
use bailiwick_core::ids::RunId;
use bailiwick_core::limits::Limits;
use bailiwick_core::policy::{PolicyEngine, Requester, StepRule};
use bailiwick_core::record::{CallOutcome, RecordKind};
use bailiwick_orchestrator::{CheckedWorkflow, Known, Options, Orchestrator, RunReport, RunRequest, load};
use bailiwick_policy::DEFAULT_POLICY;
use bailiwick_runtime::Routes;
use bailiwick_test_host::{Bench, Settings, answered};
use generator::fixed;
use serde_json::{Value, json};

use crate::attacks::{CUSTOMERS, MAIL, ORDERS, call, cedar, is, puppet, puppet_bench, results};
use crate::settings;

const STATUS: &str = "billing/accounts.set-return-status";
const LABEL: &str = "shipping/parcels.create-label";

/// A bench with the sample's connectors, and their journals.
struct Shop {
    bench: Bench,
    journals: Vec<Arc<Journal>>,
    _state: tempfile::TempDir,
}

impl Shop {
    async fn open(policy: Arc<dyn PolicyEngine>) -> Result<Self> {
        let state = tempfile::tempdir()?;
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/returns").canonicalize()?;
        let files = ["shop", "mail", "shipping"].map(|name| PathBuf::from(format!("connectors/{name}.toml")));
        let catalog: Catalog = bailiwick_wit::builtin_catalog()?;
        let connectors = tokio::task::block_in_place(|| Connectors::load_checked(&sample, state.path(), &files, &catalog))
            .map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        let journals: Vec<Arc<Journal>> = connectors.into_iter().map(Journal::around).collect();
        let mut routes = Routes::new();
        for operation in catalog.iter() {
            if let Some(journal) = journals.iter().find(|journal| journal.check(operation).is_ok()) {
                routes.insert(operation.id.clone(), Arc::clone(journal) as Arc<dyn Connector>);
            }
        }
        let bench = puppet_bench(Settings { routes: Some(routes), policy, ..settings() }).await?;
        Ok(Self { bench, journals, _state: state })
    }

    /// What reached the connectors: operation, tenant, arguments.
    fn reached(&self) -> Vec<(String, String, Value)> {
        let entries = self.journals.iter().flat_map(|journal| journal.entries());
        entries.map(|entry| (entry.operation, entry.origin.tenant.to_string(), Value::clone(&entry.args))).collect()
    }

    fn workflow(&self, text: &str) -> Result<Arc<CheckedWorkflow>> {
        let catalog = bailiwick_wit::builtin_catalog()?;
        let read = |path: &str| std::fs::read_to_string(path);
        let known = Known { catalog: &catalog, agents: &*self.bench.sandbox, read: &read };
        match load("workflow.yaml", text, &known) {
            Ok(workflow) => Ok(Arc::new(workflow)),
            Err(refused) => {
                bail!("{:?}", refused.0.iter().map(|problem| (problem.line, &problem.message, &problem.help)).collect::<Vec<_>>())
            }
        }
    }

    async fn run(&self, workflow: &str, input: Value, policy: Arc<dyn PolicyEngine>) -> Result<RunReport> {
        let request = RunRequest {
            workflow: self.workflow(workflow)?,
            input,
            requester: Arc::new(Requester { id: "local:test".to_owned(), tenant: "nordwind".into(), attributes: Default::default() }),
            run_id: RunId::fresh(),
            limits: Limits::default(),
        };
        let recorder = Arc::clone(&self.bench.recorder) as Arc<dyn bailiwick_core::Recorder>;
        let runner = Arc::clone(&self.bench.sandbox) as Arc<dyn bailiwick_core::AgentRunner>;
        Ok(Orchestrator::new(runner, recorder, policy, Options::default()).run(request, Arc::new(())).await)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_requester_of_one_tenant_reaches_nothing_of_another() -> Result<()> {
    let shop = Shop::open(Arc::new(StepRule)).await?;
    // The workflow was given the id of the other tenant's customer, and all grants are about it.
    let asked = [fixed::NEIGHBOUR, "C-999999"];
    let mut seen = Vec::new();
    for id in asked {
        let mut draft = puppet(&shop.bench, json!({"acts": [call(CUSTOMERS, id), call("crm/notes.append", id), call(MAIL, id)]}))
            .grant(CUSTOMERS, &[("id", is(id))])?
            .grant("crm/notes.append", &[("customer", is(id)), ("text", Condition::Any)])?
            .grant(MAIL, &[("customer", is(id)), ("channel", Condition::Any), ("subject", Condition::Any), ("body", Condition::Any)])?;
        draft.spec.subject = Some(id.into());
        let (report, kept) = draft.run().await;
        seen.push(answered(&report)?.output.clone());
        ensure!(kept.outcomes().iter().all(|(outcome, _)| *outcome == Some(CallOutcome::Error)), "{:?}", kept.outcomes());
    }
    ensure!(seen[0]["results"] == json!(["not-found", "not-found", "not-found"]), "{}", seen[0]);
    ensure!(seen[0] == seen[1], "another tenant's customer is told from nobody: {} {}", seen[0], seen[1]);
    ensure!(shop.reached().iter().all(|(_, tenant, _)| tenant == "nordwind"), "{:?}", shop.reached());
    // It is there, for its own tenant.
    let mut draft =
        puppet(&shop.bench, json!({"acts": [call(CUSTOMERS, fixed::NEIGHBOUR)]})).grant(CUSTOMERS, &[("id", is(fixed::NEIGHBOUR))])?;
    draft.spec.requester = Arc::new(Requester { tenant: "suedlicht".into(), ..(*draft.spec.requester).clone() });
    ensure!(results(&draft.run().await.0)? == json!(["ok"]), "the neighbour is not there at all");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_about_a_strangers_order_is_one_about_none() -> Result<()> {
    let shop = Shop::open(Arc::new(StepRule)).await?;
    // A hostile requester names a stranger's order, so the grant is about it; a hostile agent looks what it can learn or do.
    for (order, expected) in [(fixed::ORDER_OF_OTHER, "not-found"), ("O-99999", "not-found"), (fixed::ORDER_ACCEPTED, "ok")] {
        let acts = json!([{"do": STATUS, "id": order, "text": ""}, {"do": LABEL, "id": order}]);
        let grant = [("order", is(order)), ("status", is("expected")), ("if-version", Condition::Any)];
        let label = [("order", is(order)), ("sender", Condition::Any), ("weight-grams", Condition::Max(1_000))];
        let mut draft = puppet(&shop.bench, json!({ "acts": acts })).grant(STATUS, &grant)?.grant(LABEL, &label)?;
        draft.spec.subject = Some(fixed::CUSTOMER.into());
        draft.spec.run = RunId::fresh();
        let (report, kept) = draft.run().await;
        ensure!(results(&report)? == json!([expected, expected]), "{order}: {:?}", report.outcome);
        ensure!(kept.of(RecordKind::CallIntent).len() == 2 && kept.outcomes().len() == 2, "{:?}", kept.kinds());
    }
    Ok(())
}

/// The first step lies, and its lie opens the second.
const LYING: &str = r#"
workflow: lying
version: "1.0.0"
input:
  schema: { type: object, properties: { customer: { type: string }, order: { type: string }, acts: {}, claim: {} }, required: [customer, order] }
subject: "${ input.customer }"
steps:
  identity:
    agent: attacks-puppet
    with: { answer: "${ input.claim }" }
  act:
    when: "identity.verified == true"
    agent: attacks-puppet
    with: { acts: "${ input.acts }" }
    may:
      - call: crm/customers.get
        where: { id: "${ subject }" }
      - call: orders/orders.get
        where: { id: "${ input.order }" }
        owner: "${ subject }"
      - call: billing/accounts.set-return-status
        where: { order: "${ input.order }", status: expected, if-version: any }
      - call: notify/messages.send
        where: { customer: "${ subject }", channel: email, subject: any, body: any }
output:
  results: "${ act != null ? act.results : null }"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lying_identity_agent_opens_no_more_than_the_grants() -> Result<()> {
    let policy = cedar(DEFAULT_POLICY)? as Arc<dyn PolicyEngine>;
    let shop = Shop::open(Arc::clone(&policy)).await?;
    let (own, other) = (fixed::CUSTOMER, fixed::OTHER_CUSTOMER);
    let acts = json!([
        call(CUSTOMERS, other),
        call(ORDERS, fixed::ORDER_OF_OTHER),
        json!({"do": STATUS, "id": fixed::ORDER_OF_OTHER, "text": ""}),
        call(MAIL, other),
        call(CUSTOMERS, own),
        call(MAIL, own),
    ]);
    // It claims to be sure, to have verified somebody else, and what else might be believed.
    let claim = json!({"verified": true, "customer": other, "subject": other, "tenant": "suedlicht", "confidence": 1000, "labels": []});
    let input = json!({"customer": own, "order": fixed::ORDER_OF_OTHER, "acts": acts, "claim": claim});
    let report = shop.run(LYING, input, Arc::clone(&policy)).await?;
    ensure!(report.outcome == Outcome::Done, "{:?}", report.outcome);
    // The lie opens the step: what is about the run's subject happens, though nobody was verified. Nothing else does.
    let expected = ["denied", "not-found", "not-found", "denied", "ok", "ok"];
    ensure!(report.output["results"] == json!(expected), "{}", report.output);
    let reached = shop.reached();
    ensure!(reached.iter().all(|(_, tenant, args)| tenant == "nordwind" && !args.to_string().contains(other)), "{reached:?}");
    let mails = reached.iter().filter(|(operation, ..)| operation == MAIL).count();
    ensure!(mails == 1, "{mails} mails");
    let all = shop.bench.recorder.all();
    let act = all.of(RecordKind::TaskEnded).last().map(|record| record.fields.labels.clone()).context("the second task has an end")?;
    ensure!(act.contains(&"untrusted".to_owned()), "it has read the customer's address: {act:?}");
    // Without the lie nothing at all happens.
    let before = shop.reached().len();
    let input = json!({"customer": own, "order": fixed::ORDER_ACCEPTED, "acts": [call(CUSTOMERS, own)], "claim": {"verified": "true"}});
    let report = shop.run(LYING, input, policy).await?;
    ensure!(shop.reached().len() == before, "{:?}: {:?}", report.outcome, shop.reached());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agents_answer_cannot_say_whom_another_step_is_about() -> Result<()> {
    let shop = Shop::open(Arc::new(StepRule)).await?;
    for (from, to) in [
        ("where: { customer: \"${ subject }\", channel", "where: { customer: \"${ identity.customer }\", channel"),
        ("where: { id: \"${ subject }\" }", "where: { id: \"${ identity.customer }\" }"),
        ("where: { id: \"${ subject }\" }", "where: { id: \"${ steps.identity.status }\" }"),
        ("order: \"${ input.order }\", status", "order: \"${ [identity.order][0] }\", status"),
    ] {
        let text = LYING.replace(from, to);
        ensure!(text != LYING, "{from} is not there");
        let refused = shop.workflow(&text).err().context("it was loaded")?;
        ensure!(refused.to_string().contains("would come from an agent's answer"), "{refused}");
    }
    Ok(())
}
