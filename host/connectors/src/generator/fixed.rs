//! Records made by hand, at ids that samples and tests may rely on whatever the seed. All belong to [`TENANT`](super::TENANT).

/// The customer of the returns sample: Marta Lindqvist, born 1986-04-17, Hafenstraße 12, 20457 Hamburg.
pub const CUSTOMER: &str = "C-1042";
/// Name of [`CUSTOMER`].
pub const CUSTOMER_NAME: &str = "Marta Lindqvist";
/// Postal code of [`CUSTOMER`].
pub const CUSTOMER_POSTAL_CODE: &str = "20457";
/// Date of birth of [`CUSTOMER`].
pub const CUSTOMER_BIRTH_DATE: &str = "1986-04-17";
/// A customer of another tenant whose id is one digit off.
pub const NEIGHBOUR: &str = "C-1043";
/// Another customer of the same tenant: Jonas Weber.
pub const OTHER_CUSTOMER: &str = "C-2001";

/// Two customers with the same name and date of birth.
pub const NAMESAKES: [&str; 2] = ["C-1050", "C-1051"];
/// A customer without a mail address.
pub const WITHOUT_EMAIL: &str = "C-1055";
/// Names in Greek, Cyrillic, Japanese and Arabic script.
pub const NON_LATIN: [&str; 4] = ["C-1056", "C-1057", "C-1060", "C-1061"];
/// A customer recorded as deceased.
pub const DECEASED: &str = "C-1062";
/// A customer who has opted out of mail.
pub const OPTED_OUT: &str = "C-1065";
/// A customer whose street has 300 characters.
pub const LONG_ADDRESS: &str = "C-1066";

/// The day on which the sample's returns are asked for.
pub const REQUESTED_ON: &str = "2026-11-20";

/// Delivered on 2026-10-23: day 28 of 30.
pub const ORDER_ACCEPTED: &str = "O-20417";
/// Delivered on 2026-10-20: day 31.
pub const ORDER_DAY_31: &str = "O-20418";
/// An order of hygiene articles.
pub const ORDER_EXCLUDED: &str = "O-20419";
/// An order that has been paid back.
pub const ORDER_REFUNDED: &str = "O-20420";
/// Delivered on 2026-10-21: day 30 exactly.
pub const ORDER_DAY_30: &str = "O-20421";
/// An order of which a part was shipped.
pub const ORDER_PART_SHIPPED: &str = "O-20422";
/// An order that cost nothing.
pub const ORDER_FREE: &str = "O-20423";
/// A gift, paid by [`OTHER_CUSTOMER`].
pub const ORDER_GIFT: &str = "O-20424";
/// An order in yen, which have no minor unit.
pub const ORDER_JPY: &str = "O-20425";
/// Delivered on 2026-10-25, when clocks in the European Union went back.
pub const ORDER_DAYLIGHT_SAVING: &str = "O-20426";
/// An order that was not shipped yet.
pub const ORDER_OPEN: &str = "O-20427";
/// An order of 40 lines.
pub const ORDER_LONG: &str = "O-20428";
/// An order whose return is on its way.
pub const ORDER_RETURN_OPEN: &str = "O-20429";
/// An order of [`OTHER_CUSTOMER`].
pub const ORDER_OF_OTHER: &str = "O-20500";
/// A number that no order has.
pub const ORDER_UNKNOWN: &str = "O-99999";
