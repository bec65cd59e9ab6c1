//! Every operation of every package in `wit/`, in its version and in an older one, leads to the gate: a guest that imports one and calls it is
//! denied what its step does not give, and what it gives is counted, checked and recorded.
#![expect(clippy::indexing_slicing, reason = "a test stops at its first surprise")]

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bailiwick_core::capability::Operation;
use bailiwick_core::grant::Condition;
use bailiwick_core::record::{CallOutcome, RecordKind};
use bailiwick_core::runner::EndReason;
use bailiwick_test_artifacts::component::{ANSWER, component, resolve};
use bailiwick_test_host::{Bench, Settings, answered, ended};
use bailiwick_wit::PackageText;
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Function, Resolve, WorldItem};

use crate::settings;

/// A version that no file of `wit/` has, as an agent of last year would import it.
const OLD: &str = "0.0.9";
/// Where a guest keeps the result of its call, and zeroes.
const RESULT: usize = 8192;
const ZEROES: usize = 16 * 1024;

/// The packages of `wit/`, and each that has operations once more under an older version.
fn packages() -> Vec<PackageText> {
    let mut packages = bailiwick_wit::builtin();
    for package in bailiwick_wit::builtin() {
        let Some(capability) = &package.capability else { continue };
        let name = format!("bailiwick:{}@", package.folder);
        let older = |text: &str| text.replace(&format!("{name}0.1.0"), &format!("{name}{OLD}"));
        packages.insert(
            0,
            PackageText { folder: format!("{}-old", package.folder), wit: older(&package.wit), capability: Some(older(capability)) },
        );
    }
    packages
}

/// A guest that imports the interface of an operation and calls the operation once, with nothing but zeroes. It traps where that gives
/// anything but an error.
fn guest(name: &str, operation: &Operation, texts: &[(String, String)]) -> Result<Vec<u8>> {
    let world = format!("package test:guest; world guest {{ include bailiwick:agent/agent@0.1.0; import {}; }}", operation.id.interface);
    let (resolved, id) = resolve(texts, &world)?;
    let function = imported(&resolved, id, operation).with_context(|| format!("{} is not in its world", operation.full))?;
    let signature = resolved.wasm_signature(AbiVariant::GuestImport, function);
    let params: Vec<&str> = signature.params.iter().map(|ty| core(*ty)).collect();
    let mut arguments = String::new();
    for (at, ty) in signature.params.iter().enumerate() {
        let is_result = signature.retptr && at + 1 == signature.params.len();
        let value = if is_result {
            RESULT
        } else if signature.indirect_params {
            ZEROES
        } else {
            0
        };
        write!(arguments, " ({}.const {value})", core(*ty))?;
    }
    ensure!(signature.retptr && signature.results.is_empty(), "`{}` gives its result by another way than memory", operation.full);
    let text = format!(
        r#"(module
  (import "{interface}" "{function}" (func $call (param {params})))
  (memory (export "memory") 2)
  ;; @agent wants={short}
  (func (export "bailiwick:agent/handler@0.1.0#run") (param i32 i32 i32 i32 i32 i32) (param $attempt i32) (param i32 i32 i64) (result i32)
    (call $call{arguments})
    ;; The first byte of a result that is an error is 1.
    (if (i32.eqz (i32.load8_u (i32.const {RESULT}))) (then unreachable))
    (i32.const {ANSWER})))"#,
        interface = operation.id.interface,
        function = operation.id.function,
        params = params.join(" "),
        short = operation.full,
    );
    component(name, &text, texts, &world)
}

fn imported<'r>(resolve: &'r Resolve, world: wit_parser::WorldId, operation: &Operation) -> Option<&'r Function> {
    let interface = operation.id.interface.to_string();
    resolve.worlds[world].imports.values().find_map(|item| {
        let WorldItem::Interface { id, .. } = item else { return None };
        (resolve.id_of(*id)? == interface).then(|| resolve.interfaces[*id].functions.get(&operation.id.function)).flatten()
    })
}

fn core(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_of_every_version_passes_the_gate() -> Result<()> {
    let packages = packages();
    let catalog = Arc::new(bailiwick_wit::catalog(&packages)?);
    let texts: Vec<(String, String)> = packages.iter().map(|package| (format!("{}.wit", package.folder), package.wit.clone())).collect();
    let bench = Bench::open(Settings { catalog: Some(Arc::clone(&catalog)), ..settings() }).await?;
    let builtin = bailiwick_wit::builtin_catalog()?.iter().count();
    ensure!(catalog.iter().count() == 2 * builtin && builtin > 0, "each operation in two versions");
    for (number, operation) in catalog.iter().enumerate() {
        let name = format!("versions-{number}");
        bench.install_bytes(&name, &guest(&name, operation, &texts)?).await.with_context(|| operation.full.to_string())?;
        assert_denied(&bench, &name, operation).await.with_context(|| operation.full.to_string())?;
        assert_recorded(&bench, &name, operation).await.with_context(|| operation.full.to_string())?;
    }
    Ok(())
}

/// Without a grant, and with the grant of the other version: no connector is called, and it is a security event.
async fn assert_denied(bench: &Bench, agent: &str, operation: &Operation) -> Result<()> {
    let is_old = operation.full.contains(OLD);
    let other = if is_old { operation.full.replace(OLD, "0.1.0") } else { operation.full.replace("@0.1.0", &format!("@{OLD}")) };
    for granted in [None, Some(other)] {
        let mut draft = bench.task_of(agent);
        if let Some(other) = &granted {
            let any: Vec<_> = operation.signature.params.iter().map(|(name, _)| (name.as_str(), Condition::Any)).collect();
            draft = draft.grant(other, &any)?;
        }
        let (report, kept) = draft.run().await;
        answered(&report)?;
        ensure!(kept.outcomes() == [(Some(CallOutcome::Denied), "no-grant".to_owned())], "{granted:?}: {:?}", kept.outcomes());
        ensure!(kept.of(RecordKind::CallOutcome)[0].fields.operation.as_deref() == Some(&*operation.full), "{:?}", kept.outcomes());
        ensure!(kept.security_events() == ["call-outside-grant"], "{granted:?}: {:?}", kept.security_events());
        ensure!(bench.upstream.of_task(&draft.spec.id).is_empty(), "a connector was called");
    }
    Ok(())
}

/// With its grant: an intent before the connector is called, one call, an outcome.
async fn assert_recorded(bench: &Bench, agent: &str, operation: &Operation) -> Result<()> {
    let any: Vec<_> = operation.signature.params.iter().map(|(name, _)| (name.as_str(), Condition::Any)).collect();
    let draft = bench.task_of(agent).grant(&operation.full, &any)?;
    let (report, kept) = draft.run().await;
    let calls = bench.upstream.of_task(&draft.spec.id);
    if bailiwick_runtime::is_delegation(operation) {
        // The host serves it: there is no connector, and a record all the same.
        ensure!(calls.is_empty() && kept.of(RecordKind::CallOutcome).len() == 1, "{calls:?} {:?}", kept.kinds());
        return Ok(());
    }
    ensure!(calls.len() == 1 && calls[0].operation == *operation.short, "{calls:?}");
    let (intents, outcomes) = (kept.of(RecordKind::CallIntent), kept.of(RecordKind::CallOutcome));
    ensure!(intents.len() == 1 && outcomes.len() == 1, "{:?}", kept.kinds());
    ensure!(outcomes[0].fields.intent == Some(intents[0].seq), "{:?}", outcomes[0].fields);
    ensure!(intents[0].fields.operation.as_deref() == Some(&*operation.full), "{:?}", intents[0].fields);
    // Where the upstream gave a result, the guest traps: it only takes errors.
    if !matches!(outcomes[0].fields.outcome, Some(CallOutcome::Error)) {
        ensure!(matches!(ended(&report)?, EndReason::Trap(_)), "{:?}", report.outcome);
    }
    Ok(())
}
