//! Amounts of money for people to read.
//!
//! Amounts are kept in minor units: cents for EUR, yen for JPY. How many decimals that means is a property of the currency, and getting it
//! wrong is off by a hundred.

use crate::Money;

/// Currencies of ISO 4217 that have not two decimals.
const DECIMALS: &[(&str, u32)] = &[
    ("BHD", 3),
    ("BIF", 0),
    ("CLF", 4),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("IQD", 3),
    ("ISK", 0),
    ("JOD", 3),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("PYG", 0),
    ("RWF", 0),
    ("TND", 3),
    ("UGX", 0),
    ("UYI", 0),
    ("UYW", 4),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XOF", 0),
    ("XPF", 0),
];

/// How numbers are written in a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Between thousands.
    pub group: char,
    /// Before decimals.
    pub point: char,
}

impl Style {
    /// `1,234.56`
    pub const ENGLISH: Self = Self { group: ',', point: '.' };
    /// `1.234,56`
    pub const GERMAN: Self = Self { group: '.', point: ',' };
}

/// Gives the number of decimals of a currency by its ISO 4217 code in capitals; 2 where the code is not known.
pub fn decimals(currency: &str) -> u32 {
    DECIMALS.iter().find(|(code, _)| *code == currency).map_or(2, |(_, decimals)| *decimals)
}

/// Writes an amount with its currency, for example `1,299.00 EUR` or `12,990 JPY`.
pub fn format(money: &Money, style: Style) -> String {
    let decimals = decimals(&money.currency);
    let base = 10_u64.pow(decimals);
    let amount = money.minor_units.unsigned_abs();
    let mut text = grouped(amount / base, style.group);
    if decimals > 0 {
        text.push(style.point);
        text.push_str(&format!("{:0width$}", amount % base, width = decimals as usize));
    }
    let sign = if money.minor_units < 0 { "-" } else { "" };
    format!("{sign}{text} {}", money.currency)
}

fn grouped(number: u64, group: char) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(group);
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        for (minor_units, currency, english, german) in [
            (12990, "EUR", "129.90 EUR", "129,90 EUR"),
            (129_900, "EUR", "1,299.00 EUR", "1.299,00 EUR"),
            (12990, "JPY", "12,990 JPY", "12.990 JPY"),
            (12990, "KWD", "12.990 KWD", "12,990 KWD"),
            (5, "EUR", "0.05 EUR", "0,05 EUR"),
            (0, "JPY", "0 JPY", "0 JPY"),
            (-250, "USD", "-2.50 USD", "-2,50 USD"),
            (i64::MIN, "JPY", "-9,223,372,036,854,775,808 JPY", "-9.223.372.036.854.775.808 JPY"),
        ] {
            let money = Money { minor_units, currency: currency.to_owned() };
            assert_eq!(format(&money, Style::ENGLISH), english);
            assert_eq!(format(&money, Style::GERMAN), german);
        }
    }
}
