//! Names and ids, each its own type so that one cannot be passed for another.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a text. The text is taken as it is.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// Borrows the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
    };
}

text_id!(
    /// A tenant: data and budgets of one never mix with another's.
    TenantId
);
text_id!(
    /// Name of a workflow, for example `returns`.
    WorkflowName
);
text_id!(
    /// Name of an agent, for example `return-label`.
    AgentName
);
text_id!(
    /// One execution of a workflow.
    RunId
);
text_id!(
    /// One attempt at a step.
    TaskId
);
text_id!(
    /// One issued grant.
    GrantId
);
text_id!(
    /// Path of a step: its name, later with item index, round and child run, for example `parcel` or `checks[3]/bureau`.
    StepPath
);
text_id!(
    /// Whose data something is about, in plain text. It never appears in an envelope of the ledger.
    SubjectId
);
text_id!(
    /// Version of the policy in force: a digest or, for the step rule, its name.
    PolicyVersion
);

impl RunId {
    /// Makes a new id that sorts by time.
    pub fn fresh() -> Self {
        Self::from(format!("run-{}", uuid::Uuid::now_v7().simple()))
    }
}

impl TaskId {
    /// Makes a new id that sorts by time.
    pub fn fresh() -> Self {
        Self::from(format!("task-{}", uuid::Uuid::now_v7().simple()))
    }
}

/// Position of a record in the ledger, from 0, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A SHA-256 digest, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A text that should have been a digest and is not.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a digest: `sha256:` and 64 hexadecimal digits are expected")]
pub struct DigestProblem(String);

impl Digest {
    /// Wraps the 32 bytes of a digest.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Hashes bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Hashes parts, each preceded by its length, so that no two lists of parts give the same bytes.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// Borrows the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Gives the 64 hexadecimal digits without a prefix.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Gives the first twelve hexadecimal digits, for people.
    pub fn to_short(&self) -> String {
        self.to_hex().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.to_short())
    }
}

impl FromStr for Digest {
    type Err = DigestProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| DigestProblem(text.to_owned()))?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where repeats of the same effect are recognised: a hash of tenant, run, step path, operation and ordinal,
/// the same for every attempt. Guests neither see nor set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdempotencyKey(Digest);

impl IdempotencyKey {
    /// Computes the key of the `ordinal`-th call (from 0) of `operation` in a step.
    pub fn new(tenant: &TenantId, run: &RunId, step: &StepPath, operation: &str, ordinal: u32) -> Self {
        Self(Digest::of_parts([
            b"bailiwick/key/1".as_slice(),
            tenant.as_str().as_bytes(),
            run.as_str().as_bytes(),
            step.as_str().as_bytes(),
            operation.as_bytes(),
            &ordinal.to_be_bytes(),
        ]))
    }

    /// Gives the 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        self.0.to_hex()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back() {
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert!("sha256:12".parse::<Digest>().is_err());
    }

    #[test]
    fn keys_differ_in_every_part() {
        let key = |t: &str, r: &str, s: &str, o: &str, n| IdempotencyKey::new(&t.into(), &r.into(), &s.into(), o, n).to_hex();
        let base = key("t", "r", "s", "o", 0);
        for other in [key("u", "r", "s", "o", 0), key("t", "x", "s", "o", 0), key("t", "r", "x", "o", 0)] {
            assert_ne!(base, other);
        }
        assert_ne!(base, key("t", "r", "s", "x", 0));
        assert_ne!(base, key("t", "r", "s", "o", 1));
        assert_ne!(key("ab", "c", "s", "o", 0), key("a", "bc", "s", "o", 0));
    }
}
