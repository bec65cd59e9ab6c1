use super::*;

fn expand(attribute: &str, item: &str) -> Result<String, String> {
    let attribute = attribute.parse().unwrap();
    let item = item.parse().unwrap();
    agent(attribute, item).map(|tokens| tokens.to_string()).map_err(|problem| problem.to_string())
}

const ITEM: &str = "/// Says\n/// hello.\n///\n/// More.\nfn greeter(task: Task<Input>) -> Result<Answer<Output>, Failure> { body() }";

#[test]
fn the_function_stays_and_the_manifest_is_filled_in() {
    let text =
        expand("owner = \"team@example\", wants = [\"crm/customers.get\", \"acme:x/y.z\"], review-by = \"2027-01-31\"", ITEM).unwrap();
    for expected in [
        "body ()",
        "purpose : \"Says hello.\"",
        "owner : \"team@example\"",
        "name : env ! (\"CARGO_PKG_NAME\")",
        "data_level : \"public\"",
        "risk_class : \"high\"",
        "review_by : \"2027-01-31\"",
        "wants : & [\"crm/customers.get\" , \"acme:x/y.z\"]",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    for (attribute, item, expected) in [
        ("", ITEM, "an agent needs an owner: add `owner = \"…\"`"),
        ("owner = \"t\"", "fn f(task: Task<I>) -> R {}", "an agent needs a purpose: say in a doc comment"),
        ("owner = \"\"", ITEM, "`owner` is empty"),
        ("owner = 3", ITEM, "`owner` is a text: write `owner = \"…\"`"),
        ("owner", ITEM, "`owner` needs a value"),
        ("owner = \"t\", owner = \"u\"", ITEM, "`owner` is given twice"),
        ("onwer = \"t\"", ITEM, "unknown key `onwer`: did you mean `owner`?"),
        ("data_level = \"public\"", ITEM, "unknown key `data_level`: did you mean `data-level`?"),
        ("colour = \"red\"", ITEM, "unknown key `colour`: known: `name`, `version`"),
        ("data-level = \"privat\"", ITEM, "`data-level` cannot be `privat`"),
        ("risk-class = \"hihg\"", ITEM, "did you mean `high`?"),
        ("name = \"Greeter\"", ITEM, "`Greeter` is no name of an agent"),
        ("name = \"a--b\"", ITEM, "`a--b` is no name of an agent"),
        ("review-by = \"2027-13-01\"", ITEM, "`2027-13-01` is no date"),
        ("wants = \"crm/customers.get\"", ITEM, "`wants` is a list of texts"),
        ("wants = [\"crm/customer.get\"]", ITEM, "unknown operation `crm/customer.get`: did you mean `crm/customers.get`?"),
        ("owner = \"t\"", "struct S;", "`#[agent]` belongs on a function"),
        ("owner = \"t\"", "/// D.\nasync fn f(task: T) -> R {}", "no `async` function"),
        ("owner = \"t\"", "/// D.\nfn f<T>(task: T) -> R {}", "not generic"),
        ("owner = \"t\"", "/// D.\nfn f() -> R {}", "takes one argument"),
        ("owner = \"t\"", "/// D.\nfn f(task: T) {}", "gives `Result<Answer<Output>, Failure>`"),
    ] {
        let message = expand(attribute, item).unwrap_err();
        assert!(message.contains(expected), "{attribute}: {message}");
    }
}
