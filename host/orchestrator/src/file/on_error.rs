//! `on-error`: what to do when an attempt fails.

use std::ops::Range;

use bailiwick_core::limits::Span;
use bailiwick_core::plan::RetryOn;
use bailiwick_core::suggest;

use crate::diagnostic::Problems;
use crate::reader::{self, MapView, Spanned};
use crate::yaml::Node;

/// Most entries of `on-error`.
pub const MAX_REMEDIES: usize = 8;
/// Most further attempts that a `retry` can make.
pub const MAX_RETRIES: u64 = 10;
/// Wait before the first further attempt where `backoff` is not given.
pub const DEFAULT_BACKOFF: Span = Span::millis(200);

const KINDS: &[&str] = &["retry", "alternate", "partial", "escalate"];

/// One entry.
#[derive(Debug)]
pub(crate) struct OnErrorFile<'n> {
    pub span: Range<usize>,
    pub kind: OnErrorKind<'n>,
}

#[derive(Debug)]
pub(crate) enum OnErrorKind<'n> {
    Retry { on: Vec<RetryOn>, max: u32, backoff: Span, jitter: bool },
    Alternate { agent: Spanned<String> },
    Partial { stand_in: &'n Node },
    Escalate { queue: Spanned<String>, stand_in: Option<&'n Node> },
}

/// Reads `on-error`.
pub(crate) fn read_all<'n>(problems: &mut Problems, node: &'n Node) -> Vec<OnErrorFile<'n>> {
    let items = reader::list(problems, node, "`on-error`").unwrap_or_default();
    if items.len() > MAX_REMEDIES {
        problems.error(&node.span, format!("`on-error` has at most {MAX_REMEDIES} entries, found {}", items.len()), None);
    }
    let remedies: Vec<_> = items.iter().take(MAX_REMEDIES).filter_map(|item| read(problems, item)).collect();
    check_order(problems, &remedies);
    remedies
}

fn read<'n>(problems: &mut Problems, node: &'n Node) -> Option<OnErrorFile<'n>> {
    let view = MapView::of(problems, node, "`on-error`", KINDS)?;
    let [entry] = view.entries() else {
        let help = "one entry, one key: `- retry: { max: 2 }`".to_owned();
        problems.error(&node.span, format!("an entry of `on-error` has one key, found {}", view.entries().len()), help);
        return None;
    };
    let kind = match entry.key.text.as_str() {
        "retry" => read_retry(problems, &entry.value),
        "alternate" => read_alternate(problems, &entry.value),
        "partial" => read_partial(problems, &entry.value),
        "escalate" => read_escalate(problems, &entry.value),
        _ => None,
    };
    Some(OnErrorFile { span: entry.key.span.clone(), kind: kind? })
}

fn read_retry<'n>(problems: &mut Problems, node: &Node) -> Option<OnErrorKind<'n>> {
    let view = MapView::of(problems, node, "`retry`", &["on", "max", "backoff", "jitter"])?;
    let max = view.required(problems, "max", "`retry`", "say how many further attempts: `max: 2`");
    let max = max.and_then(|node| reader::whole(problems, node, "`max`", 1, MAX_RETRIES));
    let backoff = view.get("backoff").map_or(Some(DEFAULT_BACKOFF), |node| reader::duration(problems, node));
    let jitter = view.get("jitter").map_or(Some(true), |node| reader::boolean(problems, node, "`jitter`"));
    let on = view.get("on").map_or_else(|| Some(vec![RetryOn::Retryable]), |node| read_on(problems, node));
    Some(OnErrorKind::Retry { on: on?, max: u32::try_from(max?).ok()?, backoff: backoff?, jitter: jitter? })
}

fn read_on(problems: &mut Problems, node: &Node) -> Option<Vec<RetryOn>> {
    let items = reader::list(problems, node, "`on`")?;
    if items.is_empty() {
        problems.error(&node.span, "`on` names no failure, so nothing would be tried again", "write `on: [retryable]`".to_owned());
        return None;
    }
    let mut on = Vec::new();
    for item in items {
        let word = reader::text(problems, item, "a kind of failure")?;
        match word.value.as_str() {
            "retryable" if !on.contains(&RetryOn::Retryable) => on.push(RetryOn::Retryable),
            "retryable" => {}
            other => problems.error(&word.span, format!("there is no kind of failure `{other}`"), suggest::help(other, ["retryable"])),
        }
    }
    Some(on)
}

fn read_alternate<'n>(problems: &mut Problems, node: &Node) -> Option<OnErrorKind<'n>> {
    let view = MapView::of(problems, node, "`alternate`", &["agent"])?;
    let agent = view.required(problems, "agent", "`alternate`", "name the other agent: `agent: NAME`")?;
    Some(OnErrorKind::Alternate { agent: reader::text(problems, agent, "`agent`")? })
}

fn read_partial<'n>(problems: &mut Problems, node: &'n Node) -> Option<OnErrorKind<'n>> {
    let view = MapView::of(problems, node, "`partial`", &["stand-in"])?;
    let stand_in = view.required(problems, "stand-in", "`partial`", "say what stands in for the answer: `stand-in: { … }`")?;
    Some(OnErrorKind::Partial { stand_in })
}

fn read_escalate<'n>(problems: &mut Problems, node: &'n Node) -> Option<OnErrorKind<'n>> {
    let view = MapView::of(problems, node, "`escalate`", &["queue", "stand-in"])?;
    let queue = view.required(problems, "queue", "`escalate`", "name the queue of the people who decide: `queue: NAME`")?;
    let queue = reader::text(problems, queue, "`queue`")?;
    Some(OnErrorKind::Escalate { queue, stand_in: view.get("stand-in") })
}

/// What comes after an entry that always applies is never reached.
fn check_order(problems: &mut Problems, remedies: &[OnErrorFile<'_>]) {
    let mut retries = 0;
    for (index, remedy) in remedies.iter().enumerate() {
        match remedy.kind {
            OnErrorKind::Retry { .. } => {
                retries += 1;
                if retries == 2 {
                    problems.error(&remedy.span, "`retry` occurs twice", "join them into one".to_owned());
                }
            }
            OnErrorKind::Alternate { .. } => {}
            OnErrorKind::Partial { .. } | OnErrorKind::Escalate { .. } => {
                if let Some(next) = remedies.get(index + 1) {
                    let help = "`partial` and `escalate` always apply: only the last entry can be one of them".to_owned();
                    problems.error(&next.span, "this entry is never reached", help);
                }
                return;
            }
        }
    }
}
