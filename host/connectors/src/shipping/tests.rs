use bailiwick_core::error::GuestError;
use serde_json::json;

use super::*;
use crate::generator::fixed;
use crate::support::*;

fn marta() -> Value {
    json!({"name": "Marta Lindqvist", "street": "Hafenstraße 12", "postal-code": "20457", "city": "Hamburg", "country": "DE"})
}

fn with(field: &str, text: &str) -> Value {
    let mut sender = marta();
    sender[field] = json!(text);
    sender
}

/// The sample's connector for anybody's orders: without a shop that says whose they are.
fn open_to_all(state: &std::path::Path) -> Arc<dyn Connector> {
    let project = tempfile::tempdir().unwrap();
    std::fs::write(project.path().join("shipping.toml"), for_anybody()).unwrap();
    crate::Connectors::load(project.path(), state, &["shipping.toml".into()]).unwrap().remove(0)
}

fn for_anybody() -> String {
    let text = std::fs::read_to_string(sample().join("connectors/shipping.toml")).unwrap();
    text.split("\n[owner]").next().unwrap().to_owned()
}

fn create(sender: Value, ordinal: u32) -> ConnectorCall {
    call("shipping/parcels.create-label", json!({"order": "O-20417", "sender": sender, "weight-grams": 1200}), ordinal)
}

fn text_of(answer: &ConnectorAnswer) -> String {
    let bytes = std::fs::read(&answer.artifacts[0].path).unwrap();
    assert!(bytes.starts_with(b"%PDF-"));
    lopdf::Document::load_mem(&bytes).unwrap().extract_text(&[1]).unwrap()
}

/// Text without white space: an extractor puts breaks where the layout has them.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[tokio::test]
async fn a_label_is_a_pdf_that_says_everything_and_is_made_once() {
    let state = tempfile::tempdir().unwrap();
    let shipping = open_to_all(state.path());
    let answer = ok(&*shipping, create(marta(), 0)).await;
    values::conform(&answer.value, operation("shipping/parcels.create-label").signature.ok().unwrap(), "").unwrap();
    let number = answer.value["tracking"].as_str().unwrap();
    assert!(tracking::is_valid("PX", number));
    let text = squeezed(&text_of(&answer));
    for part in [
        "PostExpress",
        "RETURN",
        "MartaLindqvist",
        "Hafenstraße12",
        "20457Hamburg",
        "NordwindReturns",
        "28217Bremen",
        "O-20417",
        "1.200kg",
        number,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("another"));
    let path = &answer.artifacts[0].path;
    assert!(path.starts_with(state.path().canonicalize().unwrap().join("labels")) && answer.artifacts[0].kind == "label");
    assert!(!answer.value["document"].as_str().unwrap().contains('/'));

    let before = std::fs::read(path).unwrap();
    std::fs::remove_file(path).unwrap();
    let again = ok(&*shipping, create(marta(), 0)).await;
    assert!(again.cached && again.value == answer.value && again.artifacts == answer.artifacts);
    assert!(!path.exists(), "a repeat draws nothing");
    assert!(matches!(error(&*shipping, create(with("street", "Other 1"), 0)).await.guest, GuestError::Conflict(_)));
    assert_ne!(ok(&*shipping, create(marta(), 1)).await.value["tracking"], answer.value["tracking"]);
    // Another host with the same key and arguments draws the same document.
    let other = tempfile::tempdir().unwrap();
    let same = ok(&*open_to_all(other.path()), create(marta(), 0)).await;
    assert_eq!(std::fs::read(&same.artifacts[0].path).unwrap(), before);
}

#[tokio::test]
async fn the_barcode_is_the_tracking_number() {
    let state = tempfile::tempdir().unwrap();
    let answer = ok(&*open_to_all(state.path()), create(marta(), 0)).await;
    let bytes = std::fs::read(&answer.artifacts[0].path).unwrap();
    let document = lopdf::Document::load_mem(&bytes).unwrap();
    let page = *document.get_pages().get(&1).unwrap();
    let content = lopdf::content::Content::decode(&document.get_page_content(page)).unwrap();
    // Each filled path with its left and right end.
    let (mut bars, mut xs, mut ys): (Vec<(f32, f32)>, Vec<f32>, Vec<f32>) = (Vec::new(), Vec::new(), Vec::new());
    for operation in &content.operations {
        let numbers: Vec<f32> = operation.operands.iter().filter_map(|o| o.as_float().ok()).collect();
        match operation.operator.as_str() {
            "re" => {
                xs.extend([numbers[0], numbers[0] + numbers[2]]);
                ys.extend([numbers[1], numbers[1] + numbers[3]]);
            }
            "m" | "l" => {
                xs.push(numbers[0]);
                ys.push(numbers[1]);
            }
            "f" | "f*" => {
                let span = |v: &[f32]| v.iter().copied().fold((f32::MAX, f32::MIN), |(a, b), x| (a.min(x), b.max(x)));
                let ((left, right), (top, bottom)) = (span(&xs), span(&ys));
                if (bottom - top - 58.0).abs() < 0.5 {
                    bars.push((left, right));
                }
                xs.clear();
                ys.clear();
            }
            _ => {}
        }
    }
    // Back from widths to modules, and from modules to the text.
    let module = bars.iter().map(|(left, right)| right - left).fold(f32::MAX, f32::min);
    let modules = |width: f32| (width / module).round() as u8;
    let pattern: Vec<code128::Bar> = bars
        .iter()
        .enumerate()
        .map(|(i, (left, right))| code128::Bar {
            width: modules(right - left),
            space: bars.get(i + 1).map_or(0, |next| modules(next.0 - right)),
        })
        .collect();
    let expected: Vec<code128::Bar> = code128::Code128::encode(answer.value["tracking"].as_str().unwrap().as_bytes()).bars().collect();
    assert_eq!(pattern, expected);
    // The quiet zone of ten modules on the left, and A6.
    assert!(bars[0].0 >= 10.0 * module - 0.1);
    assert!((module / 72.0 * 25.4) > 0.25, "narrow bars of {module} points are hard to read");
}

#[tokio::test]
async fn names_in_other_scripts_are_readable() {
    let state = tempfile::tempdir().unwrap();
    let shipping = open_to_all(state.path());
    for (ordinal, name, printed, rewritten) in [
        (0, "Ελένη Παπαδοπούλου", "ΕλένηΠαπαδοπούλου", false),
        (1, "Александър Кузманов", "АлександърКузманов", false),
        (2, "山田 太郎", "ShanTian", true),
        (3, "محمد العلي", "mhmd", true),
        (4, "Zoë Şahin-Łukasz", "ZoëŞahin-Łukasz", false),
    ] {
        let text = squeezed(&text_of(&ok(&*shipping, create(with("name", name), ordinal)).await));
        assert!(text.contains(printed), "{name}: {text}");
        assert_eq!(text.contains("lettersofanotherscriptarewritteninLatin"), rewritten, "{name}");
    }
}

#[tokio::test]
async fn long_addresses_are_printed_whole_or_refused() {
    let state = tempfile::tempdir().unwrap();
    let shipping = open_to_all(state.path());
    let long: String = "Straße der Vereinigung der langen Anschriften ".repeat(8).chars().take(300).collect();
    let text = squeezed(&text_of(&ok(&*shipping, create(with("street", &long), 0)).await));
    assert!(text.contains(&squeezed(&long)), "{text}");
    let unbroken = "x".repeat(320);
    assert!(squeezed(&text_of(&ok(&*shipping, create(with("street", &unbroken), 1)).await)).contains(&unbroken));
    for (field, text) in [("street", "x".repeat(321)), ("name", "x".repeat(101)), ("city", "x".repeat(101)), ("street", "x".repeat(60_000))]
    {
        assert_eq!(error(&*shipping, create(with(field, &text), 2)).await.guest, GuestError::Invalid(format!("sender.{field}")));
    }
    // 300 Chinese characters take more than 400 Latin letters.
    assert_eq!(
        error(&*shipping, create(with("street", &"北".repeat(300)), 3)).await.guest,
        GuestError::Invalid("sender.street".to_owned())
    );
}

#[tokio::test]
async fn what_no_carrier_could_use_is_invalid_with_its_field() {
    let state = tempfile::tempdir().unwrap();
    let shipping = open_to_all(state.path());
    for (field, text) in [
        ("country", "XX"),
        ("country", "de"),
        ("country", ""),
        ("postal-code", "2045"),
        ("postal-code", "2O457"),
        ("postal-code", ""),
        ("name", ""),
        ("name", "   "),
        ("street", ""),
        ("city", ""),
        ("name", "Marta\nLindqvist"),
        ("name", "Marta\u{202E}tsivqdniL"),
        ("name", "\u{e000}"),
    ] {
        assert_eq!(
            error(&*shipping, create(with(field, text), 0)).await.guest,
            GuestError::Invalid(format!("sender.{field}")),
            "{field} {text:?}"
        );
    }
    assert_eq!(error(&*shipping, create(with("name", "a\0b"), 0)).await.guest, GuestError::Invalid("sender.name".to_owned()));
    for order in ["../../etc/passwd", "", "O 1", "O-1\n", &"9".repeat(41), "O-1'; DROP TABLE labels; --"] {
        let args = json!({"order": order, "sender": marta(), "weight-grams": 1});
        assert_eq!(error(&*shipping, call("shipping/parcels.create-label", args, 0)).await.guest, GuestError::Invalid("order".to_owned()));
    }
    for (weight, fits) in [(0, false), (1, true), (31_500, true), (31_501, false), (u32::MAX, false)] {
        let args = json!({"order": "O-1", "sender": marta(), "weight-grams": weight});
        assert_eq!(shipping.call(call("shipping/parcels.create-label", args, weight)).await.is_ok(), fits, "{weight}");
    }
    // Nothing was written for what was refused.
    assert_eq!(std::fs::read_dir(state.path().join("labels")).unwrap().count(), 2);
}

#[tokio::test]
async fn a_label_is_voided_once_by_its_order_and_tenant() {
    let state = tempfile::tempdir().unwrap();
    let shipping = open_to_all(state.path());
    let number = ok(&*shipping, create(marta(), 0)).await.value["tracking"].as_str().unwrap().to_owned();
    let void =
        |order: &str, tracking: &str, ordinal| call("shipping/parcels.void-label", json!({"order": order, "tracking": tracking}), ordinal);
    assert_eq!(error(&*shipping, void("O-1", &number, 0)).await.guest, GuestError::NotFound);
    assert_eq!(error(&*shipping, void("O-20417", "PX123", 1)).await.guest, GuestError::NotFound);
    let mut foreign = void("O-20417", &number, 2);
    foreign.origin.tenant = "suedlicht".into();
    assert_eq!(error(&*shipping, foreign).await.guest, GuestError::NotFound);
    assert_eq!(ok(&*shipping, void("O-20417", &number, 3)).await.prior, Some(json!({"state": "valid"})));
    assert!(ok(&*shipping, void("O-20417", &number, 3)).await.cached);
    assert!(matches!(error(&*shipping, void("O-20417", &number, 4)).await.guest, GuestError::Conflict(_)));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_unavailable_and_books_nothing() {
    let state = tempfile::tempdir().unwrap();
    let shipping = open_to_all(state.path());
    // The file's place is taken by a folder: that fails for every user, root included.
    let key = create(marta(), 0).key.unwrap().to_hex();
    let taken = state.path().join("labels").join(format!("{key}.pdf"));
    std::fs::create_dir(&taken).unwrap();
    assert_eq!(error(&*shipping, create(marta(), 0)).await.guest, GuestError::Unavailable);
    assert_eq!(std::fs::read_dir(state.path().join("labels")).unwrap().count(), 1, "no part is left behind");
    std::fs::remove_dir(&taken).unwrap();
    assert!(!ok(&*shipping, create(marta(), 0)).await.cached);
}

#[tokio::test]
async fn a_crash_between_document_and_commit_leaves_nothing_that_matters() {
    let state = tempfile::tempdir().unwrap();
    let shipping = open_to_all(state.path());
    let first = ok(&*shipping, create(marta(), 0)).await;
    drop(shipping);
    // As if the process had ended after the document and before the commit.
    let path = state.path().canonicalize().unwrap().join("data/shipping.sqlite");
    database::open(&path, Access::Write).unwrap().execute_batch("DELETE FROM labels; DELETE FROM bailiwick_outcomes").unwrap();
    let again = ok(&*open_to_all(state.path()), create(marta(), 0)).await;
    assert!(!again.cached && again.value == first.value && again.artifacts == first.artifacts);
}

#[test]
fn files_are_checked() {
    let state = tempfile::tempdir().unwrap();
    let good = for_anybody();
    load_text(&good, state.path(), &[]).unwrap();
    let owner = format!("{good}\n[owner]\ndatabase = \"shop.sqlite\"\nsql = \"SELECT 1 AS owner\"\n");
    assert!(load_text(&owner, state.path(), &[]).err().unwrap().contains("cannot be opened"));
    drop(sample_connector("shop", state.path()));
    for (sql, expected) in [
        ("SELECT 1 AS owner", "needs the parameters `:tenant` and `:order`, and no others"),
        ("SELECT customer FROM orders WHERE tenant = :tenant AND id = :order", "gives no column `owner`"),
        ("DELETE FROM orders WHERE tenant = :tenant AND id = :order RETURNING customer AS owner", "writes"),
    ] {
        let message = load_text(&owner.replace("SELECT 1 AS owner", sql), state.path(), &[]).err().unwrap();
        assert!(message.contains(expected), "{message}");
    }
    for (from, to, expected) in [
        ("carrier =", "carier =", "did you mean `carrier`?"),
        ("\"PX\"", "\"px1\"", "two capital letters are expected"),
        ("DE = \"#####\"", "DE = \"[0-9]{5}\"", "no form of postal codes"),
        ("AT = ", "Austria = ", "`Austria` is no country"),
        ("\"Post Express\"", "\"A carrier with a name for no label\"", "between 1 and 20 characters"),
        ("max-weight-grams = 31500", "folder = \"../labels\"", "the folder `../labels` cannot be used"),
    ] {
        let message = load_text(&good.replace(from, to), state.path(), &[]).err().unwrap();
        assert!(message.contains(expected), "{message}");
    }
    assert!(open_to_all(state.path()).check(&operation("crm/customers.get")).is_err());
}

#[tokio::test]
async fn an_order_of_somebody_else_gets_no_label() {
    let state = tempfile::tempdir().unwrap();
    drop(sample_connector("shop", state.path()));
    let held = sample_connector("shipping", state.path());
    let label = |order: &str, ordinal: u32| {
        call("shipping/parcels.create-label", json!({"order": order, "sender": marta(), "weight-grams": 1200}), ordinal)
    };
    for (ordinal, order) in [fixed::ORDER_OF_OTHER, fixed::ORDER_UNKNOWN].into_iter().enumerate() {
        assert_eq!(error(&*held, label(order, ordinal as u32)).await.guest, GuestError::NotFound, "{order}");
    }
    let mut about_nobody = label(fixed::ORDER_ACCEPTED, 5);
    about_nobody.origin.subject = None;
    assert_eq!(error(&*held, about_nobody).await.guest, GuestError::NotFound);
    assert!(std::fs::read_dir(state.path().join("labels")).unwrap().next().is_none(), "a label was made");
    // Nor is one voided that somebody got who could.
    let made = ok(&*open_to_all(state.path()), label(fixed::ORDER_OF_OTHER, 6)).await;
    let void = json!({"order": fixed::ORDER_OF_OTHER, "tracking": made.value["tracking"]});
    assert_eq!(error(&*held, call("shipping/parcels.void-label", void, 7)).await.guest, GuestError::NotFound);
    ok(&*held, label(fixed::ORDER_ACCEPTED, 8)).await;
}
