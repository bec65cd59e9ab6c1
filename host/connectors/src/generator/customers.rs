//! Customers.

use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use rusqlite::{Connection, params};

use super::{CUSTOMERS, TODAY, pick};

/// A customer, as far as other data sets need it.
#[derive(Debug, Clone)]
pub(crate) struct Customer {
    pub(crate) tenant: &'static str,
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) street: String,
    pub(crate) postal_code: String,
    pub(crate) city: String,
    pub(crate) country: &'static str,
    pub(crate) birth_date: Option<String>,
    pub(crate) language: &'static str,
    pub(crate) opted_out: bool,
    pub(crate) deceased: bool,
}

impl Customer {
    pub(crate) fn id(&self) -> String {
        format!("C-{}", self.number)
    }
}

/// Country, language, cities with their postal codes, street names, first and last names of one region.
struct Region {
    country: &'static str,
    language: &'static str,
    cities: [&'static str; 4],
    postal_codes: [&'static str; 4],
    streets: [&'static str; 4],
    first: [&'static str; 8],
    last: [&'static str; 8],
}

const REGIONS: [Region; 4] = [
    Region {
        country: "DE",
        language: "de",
        cities: ["Hamburg", "Leipzig", "Köln", "Freiburg"],
        postal_codes: ["20457", "04109", "50667", "79098"],
        streets: ["Lindenweg", "Hafenstraße", "Am Markt", "Goethestraße"],
        first: ["Anna", "Jürgen", "Lena", "Mehmet", "Sabine", "Thorsten", "Zoë", "Paul"],
        last: ["Schmidt", "Müller", "Yılmaz", "Weiß", "Krause", "Vogt", "Hansen", "Brandt"],
    },
    Region {
        country: "AT",
        language: "de",
        cities: ["Wien", "Graz", "Linz", "Salzburg"],
        postal_codes: ["1010", "8010", "4020", "5020"],
        streets: ["Ringstraße", "Mozartgasse", "Donauweg", "Bergstraße"],
        first: ["Eva", "Lukas", "Marie", "Jakob", "Sophie", "Felix", "Nora", "Tobias"],
        last: ["Gruber", "Huber", "Wagner", "Pichler", "Steiner", "Moser", "Mayer", "Bauer"],
    },
    Region {
        country: "FR",
        language: "fr",
        cities: ["Lyon", "Nantes", "Lille", "Besançon"],
        postal_codes: ["69001", "44000", "59000", "25000"],
        streets: ["rue des Écoles", "avenue Foch", "place d'Armes", "chemin Vert"],
        first: ["Chloé", "Hugo", "Inès", "Louis", "Manon", "Noël", "Zélie", "Marc"],
        last: ["Lefèvre", "Moreau", "Garnier", "Dubois", "Roux", "Lambert", "Faure", "Blanc"],
    },
    Region {
        country: "NL",
        language: "en",
        cities: ["Utrecht", "Delft", "Leiden", "Zwolle"],
        postal_codes: ["3511 AA", "2611 AB", "2311 AC", "8011 AD"],
        streets: ["Kerkstraat", "Oudegracht", "Molenweg", "Stationsplein"],
        first: ["Daan", "Emma", "Sem", "Lotte", "Bram", "Fleur", "Ruben", "Maud"],
        last: ["de Vries", "Jansen", "van Dijk", "Bakker", "Visser", "Smit", "Mulder", "Bos"],
    },
];

/// The tenant of a customer number: neighbours often belong to different tenants, so that a slip of one digit leads there.
pub(crate) fn tenant_of(number: u32) -> &'static str {
    match number % 5 {
        3 => "suedlicht",
        4 => "westhafen",
        _ => super::TENANT,
    }
}

pub(crate) fn write(connection: &Connection, rng: &mut ChaCha20Rng) -> rusqlite::Result<Vec<Customer>> {
    let mut insert = connection.prepare(
        "INSERT INTO customers (tenant, id, name, email, phone, street, postal_code, city, country, birth_date, language, opted_out,
         deceased, consents, tier, points, residency, version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?;
    let mut customers = Vec::new();
    for number in 1001..1001 + CUSTOMERS {
        let mut customer = random(rng, number);
        by_hand(&mut customer);
        let phone = format!("+49 555 {:07}", rng.random_range(0..10_000_000));
        let consents = if customer.opted_out { "[]" } else { r#"["mail"]"# };
        let tier = pick(rng, &["basic", "basic", "silver", "gold"], "basic");
        let points: u32 = rng.random_range(0..20_000);
        let version: u32 = rng.random_range(1..9);
        insert.execute(params![
            customer.tenant,
            customer.id(),
            customer.name,
            customer.email,
            phone,
            customer.street,
            customer.postal_code,
            customer.city,
            customer.country,
            customer.birth_date,
            customer.language,
            customer.opted_out,
            customer.deceased,
            consents,
            tier,
            points,
            customer.country,
            version,
        ])?;
        customers.push(customer);
    }
    Ok(customers)
}

fn random(rng: &mut ChaCha20Rng, number: u32) -> Customer {
    let region = pick(rng, &REGIONS.each_ref(), &REGIONS[0]);
    let (first, last) = (pick(rng, &region.first, ""), pick(rng, &region.last, ""));
    let place = rng.random_range(0..4);
    let street = pick(rng, &region.streets, "");
    let birthday = TODAY.saturating_sub(jiff::Span::new().days(rng.random_range(18 * 365..80 * 365)));
    let local: String = any_ascii::any_ascii(&format!("{first}.{last}")).to_lowercase().replace(' ', "-");
    Customer {
        tenant: tenant_of(number),
        number,
        name: format!("{first} {last}"),
        email: rng.random_bool(0.97).then(|| format!("{local}.{number}@post.example")),
        street: format!("{street} {}", rng.random_range(1..200)),
        postal_code: region.postal_codes.get(place).copied().unwrap_or_default().to_owned(),
        city: region.cities.get(place).copied().unwrap_or_default().to_owned(),
        country: region.country,
        birth_date: rng.random_bool(0.9).then(|| birthday.to_string()),
        language: region.language,
        opted_out: rng.random_bool(0.04),
        deceased: rng.random_bool(0.002),
    }
}

/// Puts the records of [`super::fixed`] in place. The random values were drawn before, so the rest of the data does not move.
fn by_hand(customer: &mut Customer) {
    let number = customer.number;
    let named = |customer: &mut Customer, name: &str, language| {
        customer.name = name.to_owned();
        customer.language = language;
        customer.email = Some(format!("customer.{number}@post.example"));
        customer.birth_date = Some("1979-09-30".to_owned());
        (customer.opted_out, customer.deceased) = (false, false);
    };
    match number {
        1042 => {
            named(customer, super::fixed::CUSTOMER_NAME, "en");
            customer.email = Some("marta.lindqvist@post.example".to_owned());
            customer.birth_date = Some(super::fixed::CUSTOMER_BIRTH_DATE.to_owned());
            at(customer, "Hafenstraße 12", super::fixed::CUSTOMER_POSTAL_CODE, "Hamburg", "DE");
        }
        2001 => {
            named(customer, "Jonas Weber", "de");
            at(customer, "Lindenweg 3", "04109", "Leipzig", "DE");
        }
        1050 | 1051 => {
            named(customer, "Anna Schmidt", "de");
            customer.birth_date = Some("1990-01-01".to_owned());
        }
        1055 => customer.email = None,
        1056 => {
            named(customer, "Ελένη Παπαδοπούλου", "el");
            at(customer, "Οδός Ερμού 15", "10563", "Αθήνα", "GR");
        }
        1057 => {
            named(customer, "Александър Кузманов", "bg");
            at(customer, "ул. Раковски 7", "1000", "София", "BG");
        }
        1060 => {
            named(customer, "山田 太郎", "ja");
            at(customer, "Königsallee 1", "40212", "Düsseldorf", "DE");
        }
        1061 => {
            named(customer, "محمد العلي", "ar");
            at(customer, "Sonnenallee 90", "12045", "Berlin", "DE");
        }
        1062 => {
            named(customer, "Friedrich Ahlers", "de");
            customer.deceased = true;
        }
        1065 => {
            named(customer, "Helga Stumm", "de");
            customer.opted_out = true;
        }
        1066 => {
            named(customer, "Maximiliane von und zu Langenhagen", "de");
            let street = "Straße der Vereinigung der Freundinnen und Freunde der langen Anschriften ".repeat(5);
            let street: String = street.chars().take(300).collect();
            at(customer, &street, "30853", "Langenhagen", "DE");
        }
        _ => {}
    }
}

fn at(customer: &mut Customer, street: &str, postal_code: &str, city: &str, country: &'static str) {
    customer.street = street.to_owned();
    customer.postal_code = postal_code.to_owned();
    customer.city = city.to_owned();
    customer.country = country;
}
