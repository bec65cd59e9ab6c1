//! The letter in German.

use crate::letter::{Facts, Letter, Outcome, Refund, paragraphs};

pub(crate) fn write(facts: &Facts) -> Letter {
    let order = &facts.order;
    let greeting = if facts.name.is_empty() { "Guten Tag,".to_owned() } else { format!("Guten Tag {},", facts.name) };
    let close = "Wenn etwas unklar ist, antworten Sie einfach auf diese Mail.\n\nFreundliche Grüße\nIhr Service-Team".to_owned();
    match &facts.outcome {
        Outcome::Accepted { tracking, refund } => Letter {
            subject: format!("Ihre Rücksendung zur Bestellung {order} ist angenommen"),
            body: paragraphs(&[greeting, accepted(order, &facts.reason), next(order, tracking.as_deref()), money(refund), close]),
        },
        Outcome::Refused => Letter {
            subject: format!("Ihre Rücksendung zur Bestellung {order} ist nicht möglich"),
            body: paragraphs(&[
                greeting,
                format!(
                    "Sie möchten Ihre Bestellung {order} zurücksenden. Leider können wir die Rücksendung nicht annehmen: {}",
                    refused(&facts.reason)
                ),
                advice(&facts.reason).to_owned(),
                close,
            ]),
        },
    }
}

fn accepted(order: &str, reason: &str) -> String {
    match reason {
        "within-window" => {
            format!("Sie haben rechtzeitig um die Rücksendung Ihrer Bestellung {order} gebeten, und wir haben sie angenommen.")
        }
        _ => format!("Sie haben um die Rücksendung Ihrer Bestellung {order} gebeten, und wir haben sie angenommen."),
    }
}

fn next(order: &str, tracking: Option<&str>) -> String {
    match tracking {
        Some(tracking) => format!(
            "So geht es weiter:\n\
             1. Packen Sie alles ein, möglichst in der Originalverpackung.\n\
             2. Drucken Sie das Rücksendeetikett zur Bestellung {order} aus und kleben Sie es auf das Paket. Das Porto ist bezahlt.\n\
             3. Geben Sie das Paket innerhalb von 14 Tagen ab und heben Sie den Beleg auf.\n\n\
             Sendungsnummer: {tracking}"
        ),
        None => "Ihr Rücksendeetikett ist noch nicht fertig. Wir erstellen es von Hand und schicken es Ihnen: \
                 Bitte bewahren Sie alles so lange auf, Sie müssen nichts weiter tun."
            .to_owned(),
    }
}

fn money(refund: &Refund) -> String {
    match refund {
        Refund::Amount(amount) => {
            format!("Sobald das Paket bei uns angekommen ist, erstatten wir Ihnen {amount} auf dem Weg, auf dem Sie bezahlt haben.")
        }
        Refund::Nothing => "Da für diese Bestellung nichts bezahlt wurde, gibt es nichts zu erstatten.".to_owned(),
        Refund::Unknown => "Sobald das Paket bei uns angekommen ist, schreiben wir Ihnen wegen der Erstattung.".to_owned(),
    }
}

/// Finishes the sentence that says no.
fn refused(reason: &str) -> String {
    match reason {
        "window-exceeded" => "Die Frist für Rücksendungen ist abgelaufen.".to_owned(),
        "category-excluded" => {
            "Die Bestellung enthält Waren, die nicht zurückgenommen werden können, zum Beispiel aus Gründen der Hygiene.".to_owned()
        }
        "already-refunded" => "Das Geld für diese Bestellung haben wir bereits erstattet.".to_owned(),
        "return-open" => "Eine Rücksendung dieser Bestellung ist bereits unterwegs.".to_owned(),
        "not-delivered" => "Die Bestellung ist noch nicht angekommen.".to_owned(),
        "part-shipped" => "Ein Teil davon ist noch nicht verschickt.".to_owned(),
        "date-before-delivery" => "Das Datum der Anfrage liegt vor dem Tag, an dem sie angekommen ist.".to_owned(),
        "not-returnable" => "Bestellungen dieser Art können nicht zurückgesendet werden.".to_owned(),
        "cancelled" => "Die Bestellung wurde vor dem Versand storniert.".to_owned(),
        "free-order" => "Für die Bestellung wurde nichts bezahlt.".to_owned(),
        "order-not-found" => "Wir finden diese Bestellung nicht unter Ihrer Kundennummer.".to_owned(),
        other => format!("Unsere Regeln lassen sie nicht zu ({other})."),
    }
}

fn advice(reason: &str) -> &'static str {
    match reason {
        "window-exceeded" | "category-excluded" => {
            "Wenn die Ware fehlerhaft ist, bleiben Ihre gesetzlichen Rechte unberührt: Schreiben Sie uns, was nicht stimmt."
        }
        "already-refunded" => "Je nach Bank kann es einige Tage dauern, bis Sie das Geld sehen.",
        "return-open" => "Bitte verwenden Sie das Etikett, das Sie schon haben.",
        "part-shipped" => "Sobald alles angekommen ist, können Sie die Rücksendung erneut anmelden.",
        "date-before-delivery" => "Bitte prüfen Sie das Datum und melden Sie die Rücksendung erneut an.",
        "not-delivered" => "Sobald sie angekommen ist, können Sie die Rücksendung erneut anmelden.",
        "order-not-found" => "Bitte prüfen Sie die Bestellnummer: Sie steht in der Mail, mit der wir die Bestellung bestätigt haben.",
        _ => "",
    }
}
