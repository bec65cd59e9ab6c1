//! Checkpoints: a ledger's name, size and root as a signed note (C2SP's tlog-checkpoint).

use std::fmt;
use std::str::FromStr;

use bailiwick_core::ids::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::note::{Note, NoteProblem, NoteSignature, is_name};

/// Stands in an anchor file after what was not written to its end.
pub(crate) const TORN: &str = "# not written to its end";

/// What a checkpoint says: this ledger had so many records, under this root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger's name, the same for as long as it lives.
    pub origin: String,
    /// Number of records.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Digest,
}

impl Checkpoint {
    /// Gives the text that is signed.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root.as_bytes()))
    }

    fn parse(text: &str) -> Result<Self, NoteProblem> {
        let bad = NoteProblem::Checkpoint;
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(bad("it has not three lines"));
        };
        let number = size.parse().ok().filter(|number: &u64| number.to_string() == size);
        let root = BASE64.decode(root).ok().and_then(|root| root.try_into().ok()).map(Digest::from_bytes);
        // The ledger's text ends here. Extension lines, which the specification advises against, would be lost by us.
        if lines.next().is_some() {
            return Err(bad("it has more than three lines"));
        }
        Ok(Self {
            origin: Some(origin).filter(|origin| is_name(origin)).ok_or(bad("its first line is no origin"))?.to_owned(),
            size: number.ok_or(bad("its second line is no size"))?,
            root: root.ok_or(bad("its third line is no root hash"))?,
        })
    }
}

/// A checkpoint with its signatures. That they are good is what [`VerifierKey::open`](crate::VerifierKey::open) tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    pub(crate) fn new(checkpoint: Checkpoint, signature: NoteSignature) -> Self {
        let note = Note { text: checkpoint.to_text(), signatures: vec![signature] };
        Self { checkpoint, note }
    }

    /// Gives what it says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Gives text and signatures.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Adds the signature lines that a witness has answered with.
    ///
    /// # Errors
    /// When a line is no signature.
    pub fn add_signatures(&mut self, lines: &str) -> Result<(), NoteProblem> {
        self.note.add_signatures(lines)
    }

    /// Reads checkpoints that stand one after the other, as in an anchor file. A last one that was not written to its end, by a
    /// host that lost power, is left out.
    ///
    /// # Errors
    /// When another one cannot be read.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, NoteProblem> {
        let mut all = Vec::new();
        let mut block = String::new();
        let mut is_signed = false;
        // Only what ends with a newline was written to its end.
        let whole = text.rfind('\n').map_or("", |end| text.get(..=end).unwrap_or_default());
        for line in whole.lines() {
            let is_signature = line.starts_with("— ");
            if line == TORN {
                // What stands before it may be whole all the same.
                all.extend(block.parse());
                block.clear();
                is_signed = false;
                continue;
            }
            if is_signed && !is_signature {
                all.push(block.parse()?);
                block.clear();
                is_signed = false;
            }
            // Between two checkpoints there may be empty lines.
            if block.is_empty() && line.is_empty() {
                continue;
            }
            is_signed |= is_signature;
            block.push_str(line);
            block.push('\n');
        }
        if is_signed {
            all.push(block.parse()?);
        } else if !is_beginning(&block) {
            return Err(NoteProblem::Checkpoint("what stands at the end is no beginning of one"));
        }
        Ok(all)
    }
}

/// Whether whole lines can be the beginning of a checkpoint that was not written to its end.
fn is_beginning(lines: &str) -> bool {
    lines.lines().enumerate().all(|(at, line)| match at {
        0 => is_name(line),
        1 => line.parse::<u64>().is_ok(),
        2 => BASE64.decode(line).is_ok(),
        3 => line.is_empty(),
        _ => false,
    })
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

impl FromStr for SignedCheckpoint {
    type Err = NoteProblem;

    fn from_str(text: &str) -> Result<Self, NoteProblem> {
        let note: Note = text.parse()?;
        Ok(Self { checkpoint: Checkpoint::parse(&note.text)?, note })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

    #[test]
    fn the_example_of_the_specification_reads_back() {
        let signed: SignedCheckpoint = EXAMPLE.parse().unwrap();
        assert_eq!(signed.to_string(), EXAMPLE);
        assert_eq!((signed.checkpoint().origin.as_str(), signed.checkpoint().size), ("example.com/behind-the-sofa", 20_852_163));
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        for (from, to) in [
            ("20852163", "020852163"),
            ("20852163", "-1"),
            ("20852163", ""),
            ("CsUY", "CsU"),
            ("2I=\n", "2I=\nmore\n"),
            ("sofa\n2", "so fa\n2"),
        ] {
            assert!(EXAMPLE.replacen(from, to, 1).parse::<SignedCheckpoint>().is_err(), "{to}");
        }
    }

    #[test]
    fn checkpoints_are_read_one_after_the_other_and_a_torn_last_one_is_left_out() {
        let second = EXAMPLE.replace("20852163", "20852164");
        let both = format!("{EXAMPLE}\n{second}\n");
        let sizes = |text: &str| SignedCheckpoint::parse_all(text).unwrap().iter().map(|one| one.checkpoint().size).collect::<Vec<_>>();
        assert_eq!(sizes(&both), [20_852_163, 20_852_164]);
        for cut in EXAMPLE.len() + 1..both.len() - 2 {
            if both.is_char_boundary(cut) {
                assert_eq!(sizes(&both[..cut]), [20_852_163], "{cut}");
            }
        }
        assert_eq!(sizes(""), [0; 0]);
        assert!(SignedCheckpoint::parse_all(&format!("nonsense\n\n— a AAAAAAAA\n\n{EXAMPLE}")).is_err());
    }
}
