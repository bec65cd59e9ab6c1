use super::*;

fn installed(governance: &Governance) -> Vec<PolicyVersion> {
    let reader = governance.ledger.reader().unwrap();
    reader.records(Filter::Kind(RecordKind::PolicyInstalled), Seq(0)).map(|record| record.unwrap().fields.policy_version.unwrap()).collect()
}

/// A version covers the operations that a program knows, so the same texts have another one under another program. What decides has to be on record.
#[tokio::test]
async fn the_same_texts_under_another_program_are_put_on_record() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::none(folder.path()).unwrap();
    let state = tempfile::tempdir().unwrap();
    let before = InForce::new("of-another-program".into(), policy_sources(&project).unwrap());
    let ledger = Ledger::open(state.path(), ledger_options(Vec::new())).unwrap();
    let fields = Fields { policy_version: Some(before.version.clone()), ..Fields::default() };
    let payload = Payload { subject: None, parts: vec![("start", json!({ "policies": before.files }).into())] };
    let draft = Draft { kind: RecordKind::PolicyInstalled, context: Arc::default(), fields, payload: Some(payload) };
    ledger.append(draft).unwrap();
    ledger.close().unwrap();
    kept::write(state.path(), POLICIES, &before).unwrap();
    for _ in 0..2 {
        let governance = Governance::open(&project, state.path(), Vec::new()).await.unwrap();
        let version = governance.policy.version();
        assert_ne!(version, before.version);
        assert_eq!(installed(&governance), [before.version.clone(), version.clone()], "once");
        assert_eq!(in_force(state.path()).unwrap().unwrap().0, version);
        let _ = governance.close().await.unwrap();
    }
}
