//! The form of a `kind = "shipping"` file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::Latency;
use crate::reading::OwnerConfig;

/// Return labels as PDF documents, and the book of them in a database of their own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ShippingFile {
    /// Always `shipping`.
    #[expect(dead_code, reason = "it selected this type")]
    kind: ShippingKind,
    /// Name of the carrier, as it stands on the label.
    pub(crate) carrier: String,
    /// Two capital letters that every tracking number starts with. Default `PX`.
    #[serde(default = "default_prefix")]
    pub(crate) tracking_prefix: String,
    /// Where parcels are collected: for each country (ISO 3166-1 alpha-2) the form of its postal codes, `#` for a digit and `@` for a letter; empty
    /// where there are none.
    pub(crate) countries: BTreeMap<String, String>,
    /// Heaviest parcel, in grams. Default 31500.
    #[serde(default = "default_weight")]
    pub(crate) max_weight_grams: u32,
    /// Whose an order is: labels are made and voided for orders of the run's subject alone. Default: for any order that a grant names.
    pub(crate) owner: Option<OwnerConfig>,
    /// Where returns go.
    pub(crate) warehouse: WarehouseConfig,
    /// Folder for the documents in the state folder. Default `labels`.
    #[serde(default = "default_folder")]
    pub(crate) folder: String,
    /// Waits so long before every call: for demonstrations and benchmarks. Default: not at all.
    pub(crate) latency: Option<Latency>,
}

fn default_prefix() -> String {
    "PX".to_owned()
}

const fn default_weight() -> u32 {
    31_500
}

fn default_folder() -> String {
    "labels".to_owned()
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum ShippingKind {
    Shipping,
}

/// The address of the warehouse.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct WarehouseConfig {
    /// First line.
    pub(crate) name: String,
    /// Street and number.
    pub(crate) street: String,
    /// Postal code.
    pub(crate) postal_code: String,
    /// City.
    pub(crate) city: String,
    /// ISO 3166-1 alpha-2 code.
    pub(crate) country: String,
}
