//! What tests of several modules need.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::budget::Budgets;
use bailiwick_core::capability::{CapabilityFile, Catalog, Operation};
use bailiwick_core::grant::{Condition, Grant, GrantRequest};
use bailiwick_core::policy::{AgentFacts, Decision, PolicyContext, Requester};
use bailiwick_core::signature::{Signature, WitType};
use serde_json::{Value, json};

use crate::{Policies, PolicyProblem, PolicySource};

/// The operations that Bailiwick comes with, and one that pays, with a `u64`.
pub(crate) fn catalog() -> Catalog {
    let mut catalog = bailiwick_wit::builtin_catalog().unwrap();
    let file = CapabilityFile::parse(
        "package = \"acme:bank@1.0.0\"\nsummary = \"\"\n[payments.pay]\neffect = \"final\"\ndedupe = \"key\"\nsubject = [\"from\"]\nrecipient = [\"to\"]\namount = [\"cents\"]",
    )
    .unwrap();
    let signature = Signature {
        params: vec![
            ("from".into(), WitType::Text),
            ("to".into(), WitType::Text),
            ("cents".into(), WitType::Unsigned { bits: 64 }),
            ("note".into(), WitType::Option(Box::new(WitType::Text))),
        ],
        result: None,
    };
    catalog.insert(Operation::new("acme:bank/payments@1.0.0.pay".parse().unwrap(), file.operations["payments.pay"].clone(), signature));
    catalog
}

pub(crate) fn source(text: &str) -> Vec<PolicySource> {
    vec![PolicySource { name: "policy/test.cedar".into(), text: text.into() }]
}

pub(crate) fn load(text: &str) -> Arc<Policies> {
    Arc::new(try_load(text).unwrap_or_else(|problems| panic!("{problems:#?}")))
}

pub(crate) fn try_load(text: &str) -> Result<Policies, Vec<PolicyProblem>> {
    Policies::load(&source(text), &catalog())
}

pub(crate) fn requester(id: &str, attributes: &[(&str, &str)]) -> Requester {
    let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Requester { id: id.into(), tenant: "shop".into(), attributes }
}

pub(crate) fn agent(name: &str) -> AgentFacts {
    AgentFacts { name: name.into(), version: "1.0.0".into(), tier: 2, data_level: "personal".into(), risk_class: "low".into() }
}

pub(crate) fn context(agent_name: &str) -> PolicyContext {
    PolicyContext {
        requester: Arc::new(requester("local:anna", &[("kind", "person")])),
        workflow: "returns".into(),
        run: "run-1".into(),
        step: "look".into(),
        attempt: 1,
        agent: Arc::new(agent(agent_name)),
        subject: Some("C-1".into()),
        run_input: Some(Arc::new(json!({"order": "O-1", "cents": 500}))),
    }
}

pub(crate) fn request(operation: &Operation, conditions: &[(&str, Value)]) -> GrantRequest {
    let conditions: BTreeMap<_, _> =
        conditions.iter().map(|(path, value)| (path.parse().unwrap(), vec![Condition::Equals(value.clone())])).collect();
    GrantRequest {
        operation: operation.id.clone(),
        conditions,
        owner: None,
        budgets: Budgets::default_for(operation.spec.effect),
        delegable: true,
    }
}

pub(crate) fn grant(decision: &Decision, request: GrantRequest) -> Grant {
    let Decision::Permit(permit) = decision else { panic!("a permit is needed: {decision:?}") };
    Grant::issue(permit, "g".into(), "t".into(), request, u64::MAX)
}

pub(crate) fn rules(decision: &Decision) -> Vec<String> {
    match decision {
        Decision::Permit(permit) => permit.rules().to_vec(),
        Decision::Forbid { rules, .. } => rules.clone(),
    }
}
