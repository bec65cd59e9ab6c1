use super::*;

fn project(development: bool, requester: Option<&str>) -> Project {
    let folder = tempfile::tempdir().unwrap();
    let mut project = Project::none(folder.path()).unwrap();
    project.development = development;
    project.requester = requester.map(|id| (id.to_owned(), BTreeMap::from([("kind".to_owned(), "service-channel".to_owned())])));
    project
}

fn known(id: &str, expires_ms: Option<u64>) -> Known {
    let attributes = BTreeMap::from([("role".to_owned(), "officer".to_owned())]);
    Known { id: id.to_owned(), tenant: "shop".into(), attributes, token: None, added_by: None, since_ms: 0, expires_ms }
}

fn token_file(token: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{token}\n")).unwrap();
    file
}

fn by(requester: &Requester) -> &str {
    &requester.attributes[AUTHENTICATED_BY]
}

#[test]
fn a_token_says_who_asks_until_it_ends_or_is_replaced() {
    let mut all = Requesters::default();
    let token = all.add(known("channel:web-shop", Some(100))).unwrap().unwrap();
    assert!(token.starts_with(TOKEN_PREFIX) && token.len() == TOKEN_PREFIX.len() + 2 * TOKEN_BYTES);
    assert!(!serde_json::to_string(&all).unwrap().contains(&token), "the token itself is nowhere kept");
    let file = token_file(&token);
    let project = project(false, None);
    let ask = |all: &Requesters, name, now| all.authenticate(&project, Claim { name, token: Some(file.path()) }, now);
    let requester = ask(&all, None, 99).unwrap();
    assert_eq!((requester.id.as_str(), requester.tenant.as_str(), by(&requester)), ("channel:web-shop", "shop", "token"));
    assert_eq!(requester.attributes["role"], "officer");
    assert!(ask(&all, Some("channel:web-shop"), 99).is_ok());
    assert!(ask(&all, Some("channel:other"), 99).is_err(), "the token of somebody else");
    assert!(ask(&all, None, 100).is_err(), "its time is over");
    all.add(known("channel:web-shop", None)).unwrap();
    assert!(ask(&all, None, 99).is_err(), "another took its place");
    assert!(all.remove("channel:web-shop").is_some() && all.remove("channel:web-shop").is_none());
}

#[test]
fn a_name_alone_is_taken_in_development_projects_only() {
    let all = Requesters::default();
    let ask = |development, own: Option<&str>, name| all.authenticate(&project(development, own), Claim { name, token: None }, 0);
    let local = local_name();
    for (development, own) in [(true, None), (false, None)] {
        let requester = ask(development, own, None).unwrap();
        assert_eq!((requester.id.as_str(), by(&requester)), (local.as_str(), "local-account"));
    }
    let stand_in = ask(true, Some("channel:web-shop"), None).unwrap();
    assert_eq!(
        (stand_in.id.as_str(), by(&stand_in), stand_in.attributes["kind"].as_str()),
        ("channel:web-shop", "development", "service-channel")
    );
    let other = ask(true, Some("channel:web-shop"), Some("channel:other")).unwrap();
    assert_eq!((by(&other), other.attributes.len()), ("development", 1), "the facts are those of another");
    assert_eq!(by(&ask(false, Some("channel:web-shop"), Some(&local)).unwrap()), "local-account");
    for (own, name) in [(Some("channel:web-shop"), None), (None, Some("channel:other")), (None, Some("local:somebody-else"))] {
        let fault = ask(false, own, name).unwrap_err();
        assert!(fault.diagnoses[0].to_string().contains("nothing shows that"), "{fault:?}");
    }
}

#[test]
fn a_local_account_has_attributes_and_no_token() {
    let mut all = Requesters::default();
    assert_eq!(all.add(known(&local_name(), None)).unwrap(), None);
    let requester = all.authenticate(&project(false, None), Claim::default(), 0).unwrap();
    assert_eq!((requester.attributes["role"].as_str(), requester.tenant.as_str()), ("officer", "default"));
}

#[test]
fn what_cannot_be_known_is_refused() {
    let mut all = Requesters::default();
    assert!(all.add(known("nobody", None)).is_err());
    let mut forged = known("channel:x", None);
    forged.attributes.insert(AUTHENTICATED_BY.to_owned(), "token".to_owned());
    assert!(all.add(forged).is_err());
    let no_token = token_file("hunter2");
    let fault = all.authenticate(&project(true, None), Claim { name: None, token: Some(no_token.path()) }, 0).unwrap_err();
    let text = fault.diagnoses[0].to_string();
    assert!(text.contains("holds no token") && !text.contains("hunter2"), "{text}");
}
