use super::*;
use crate::testing::{catalog, load};

const CASES: &str = r#"
[[case]]
name = "an agent for personal data reads the customer"
expect = "permit"
rules = ["step-gives"]
[case.call]
operation = "crm/customers.get"
agent = { name = "return-label", data-level = "personal" }
requester = { id = "local:anna", tenant = "shop" }
subject = "C-1"
args = { id = "C-1" }

[[case]]
name = "an agent for internal data does not"
expect = "forbid"
rules = ["data-level"]
[case.call]
operation = "crm/customers.get"
agent = { name = "returns-policy", data-level = "internal" }
requester = { id = "local:anna", tenant = "shop" }
args = { id = "C-1" }

[[case]]
name = "mail after an untrusted text goes to the run's subject alone"
expect = "forbid"
rules = ["untrusted-final"]
[case.call]
operation = "notify/messages.send"
agent = { name = "customer-mail", data-level = "personal" }
requester = { id = "local:anna", tenant = "shop" }
subject = "C-1"
args = { customer = "C-2", channel = "email", subject = "x", body = "y" }
labels = ["untrusted"]

[[case]]
name = "a customer opens a run about himself"
expect = "permit"
rules = ["customer-opens"]
[case.open]
requester = { id = "customer:1", tenant = "shop", attributes = { kind = "customer", subject = "C-1" } }
subject = "C-1"

[[case]]
name = "a channel installs no policy, whatever this case says"
expect = "permit"
[case.act]
requester = { id = "channel:web", tenant = "shop" }
to = "install-policy"

[[case]]
name = "somebody freezes an agent"
expect = "permit"
[case.act]
requester = { id = "local:anna", tenant = "shop" }
to = { freeze = { agent = "return-label" } }
"#;

#[test]
fn cases_say_what_passed_and_why_not() {
    let cases = parse_cases(CASES).unwrap();
    let policies = load(crate::DEFAULT_POLICY);
    let results = run_cases(&policies, &catalog(), &cases).unwrap();
    let passed: Vec<bool> = results.iter().map(|result| result.passed).collect();
    assert_eq!(passed, [true, true, true, true, false, true], "{results:#?}");
    let wrong = &results[4];
    assert_eq!((wrong.expected, wrong.found), (Expected::Permit, Expected::Forbid));
    assert_eq!(wrong.explanation.reason, "no policy permits it");
    let texts: Vec<&str> = results[1].explanation.texts.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(texts, ["data-level"]);
    assert!(results[1].explanation.texts[0].source.starts_with("@id(\"data-level\")"));
    assert_eq!(results, run_cases(&policies, &catalog(), &cases).unwrap(), "nothing is changed by asking");
}

#[test]
fn other_rules_than_named_do_not_pass_and_a_second_person_is_told_apart() {
    let policies = load("@id(\"two\") @four_eyes(\"true\") permit (principal, action == Bailiwick::Action::\"policy.install\", resource);");
    let passes = |expect: &str, rule: &str| {
        let text = format!(
            "[[case]]\nname = \"x\"\nexpect = \"{expect}\"\nrules = [\"{rule}\"]\n[case.act]\nto = \"install-policy\"\nrequester = {{ id = \"local:a\", tenant = \"t\" }}"
        );
        run_cases(&policies, &catalog(), &parse_cases(&text).unwrap()).unwrap()[0].passed
    };
    assert!(passes("needs-second", "two"));
    assert!(!passes("needs-second", "one"));
    assert!(!passes("permit", "two"));
}

#[test]
fn a_wrong_file_says_where() {
    for (text, expected) in [
        ("[[case]]\nname = \"x\"\nexpect = \"allow\"\n", "line 3"),
        ("[[cases]]\n", "unknown field `cases`"),
        ("[[case]]\nname = \"x\"\nexpect = \"permit\"\n", "no variant of enum Question found"),
        (
            "[[case]]\nname = \"x\"\nexpect = \"permit\"\n[case.open]\nrequester = { id = \"x\", tenant = \"t\" }\nsubjekt = \"x\"\n",
            "subjekt",
        ),
    ] {
        let problem = parse_cases(text).unwrap_err().to_string();
        assert!(problem.contains(expected), "{problem}");
    }
    let text = CASES.replace("crm/customers.get", "crm/customers.gett");
    let problem = run_cases(&load(""), &catalog(), &parse_cases(&text).unwrap()).unwrap_err();
    assert!(problem.to_string().contains("did you mean `crm/customers.get`?"), "{problem}");
}
