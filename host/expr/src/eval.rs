//! Evaluation, with every step, element and byte counted.

mod calls;
mod meter;
mod operators;
mod value;

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value as Json;

use crate::bounds::Bounds;
use crate::error::{EvalError, EvalFault};
use crate::node::{Absent, Comprehension, Function, Node, NodeKind, Pattern};
use crate::syntax::{Constant, Operator};
use meter::Meter;
use value::{SCALAR_BYTES, Text, Value};

/// Gives the values of variables.
pub trait Variables {
    /// Returns the value of a variable, or `None` where there is none.
    fn variable(&self, name: &str) -> Option<&Json>;
}

impl Variables for BTreeMap<String, Json> {
    fn variable(&self, name: &str) -> Option<&Json> {
        self.get(name)
    }
}

impl Variables for serde_json::Map<String, Json> {
    fn variable(&self, name: &str) -> Option<&Json> {
        self.get(name)
    }
}

/// Evaluates a checked expression.
///
/// # Errors
/// The value does not exist, or a bound is used up.
pub(crate) fn eval(node: &Node, variables: &dyn Variables, bounds: &Bounds) -> Result<Json, EvalError> {
    let mut evaluation = Evaluation { variables, locals: Vec::new(), meter: Meter::new(bounds) };
    let value = evaluation.eval(node)?;
    value.into_json(&mut evaluation.meter).map_err(|fault| fault.at(&node.range))
}

struct Evaluation<'v> {
    variables: &'v dyn Variables,
    locals: Vec<Value<'v>>,
    meter: Meter<'v>,
}

impl<'v> Evaluation<'v> {
    fn eval(&mut self, node: &'v Node) -> Result<Value<'v>, EvalError> {
        match self.meter.step() {
            Ok(()) => self.eval_kind(node).and_then(|value| value.with_number(node.number).map_err(|fault| fault.at(&node.range))),
            Err(fault) => Err(fault.at(&node.range)),
        }
    }

    /// Only chooses: an arm with locals of its own would cost every level of the recursion their stack.
    fn eval_kind(&mut self, node: &'v Node) -> Result<Value<'v>, EvalError> {
        match &node.kind {
            NodeKind::Constant(constant) => Ok(from_constant(constant)),
            NodeKind::Variable(name) => self.eval_variable(node, name),
            NodeKind::Local(place) => Ok(self.locals.get(*place).cloned().unwrap_or(Value::Null)),
            NodeKind::List(items) => self.eval_list(node, items),
            NodeKind::Map(entries) => self.eval_map(node, entries),
            NodeKind::Select { operand, field, absent } => self.eval_select(node, operand, field, *absent),
            NodeKind::Has { operand, field } => self.eval_has(node, operand, field),
            NodeKind::Index { operand, index } => self.eval_index(node, operand, index),
            NodeKind::Not(operand) => self.eval_bool(operand).map(|value| Value::Bool(!value)),
            NodeKind::Negate(operand) => self.eval_negation(node, operand),
            NodeKind::And(left, right) => self.eval_logic(left, right, true),
            NodeKind::Or(left, right) => self.eval_logic(left, right, false),
            NodeKind::Conditional(parts) => self.eval_conditional(parts),
            NodeKind::Binary(operator, left, right) => self.eval_binary(node, *operator, left, right),
            NodeKind::Call(function, arguments) => self.eval_call(node, *function, arguments),
            NodeKind::Matches(text, pattern) => self.eval_pattern(node, text, pattern),
            NodeKind::Comprehension { kind, range, filter, body } => self.eval_comprehension(*kind, range, filter.as_deref(), body),
        }
    }

    fn eval_variable(&mut self, node: &Node, name: &str) -> Result<Value<'v>, EvalError> {
        let value = match self.variables.variable(name) {
            Some(json) => Value::from_json(json),
            None => Err(EvalFault::MissingVariable { name: name.to_owned() }),
        };
        value.map_err(|fault| fault.at(&node.range))
    }

    fn eval_select(&mut self, node: &Node, operand: &'v Node, field: &str, absent: Absent) -> Result<Value<'v>, EvalError> {
        let operand = self.eval(operand)?;
        select(&operand, field, absent).map_err(|fault| fault.at(&node.range))
    }

    fn eval_has(&mut self, node: &Node, operand: &'v Node, field: &str) -> Result<Value<'v>, EvalError> {
        let value = self.eval_select(node, operand, field, Absent::NullThroughout)?;
        Ok(Value::Bool(!matches!(value, Value::Null)))
    }

    fn eval_index(&mut self, node: &Node, operand: &'v Node, index: &'v Node) -> Result<Value<'v>, EvalError> {
        let operand = self.eval(operand)?;
        let index = self.eval(index)?;
        element(&operand, &index, &mut self.meter).map_err(|fault| fault.at(&node.range))
    }

    fn eval_negation(&mut self, node: &Node, operand: &'v Node) -> Result<Value<'v>, EvalError> {
        let operand = self.eval(operand)?;
        operators::negate(&operand).map_err(|fault| fault.at(&node.range))
    }

    fn eval_logic(&mut self, left: &'v Node, right: &'v Node, and: bool) -> Result<Value<'v>, EvalError> {
        let left = self.eval_bool(left)?;
        if left == and { self.eval_bool(right).map(Value::Bool) } else { Ok(Value::Bool(left)) }
    }

    fn eval_conditional(&mut self, parts: &'v [Node; 3]) -> Result<Value<'v>, EvalError> {
        let [condition, then, otherwise] = parts;
        let chosen = if self.eval_bool(condition)? { then } else { otherwise };
        self.eval(chosen)
    }

    fn eval_binary(&mut self, node: &Node, operator: Operator, left: &'v Node, right: &'v Node) -> Result<Value<'v>, EvalError> {
        let left = self.eval(left)?;
        let right = self.eval(right)?;
        operators::apply(operator, &left, &right, &mut self.meter).map_err(|fault| fault.at(&node.range))
    }

    fn eval_call(&mut self, node: &Node, function: Function, arguments: &'v [Node]) -> Result<Value<'v>, EvalError> {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.eval(argument)?);
        }
        calls::call(function, &values, &mut self.meter).map_err(|fault| fault.at(&node.range))
    }

    fn eval_pattern(&mut self, node: &Node, text: &'v Node, pattern: &Pattern) -> Result<Value<'v>, EvalError> {
        let text = self.eval(text)?;
        let searched = text.as_text().and_then(|text| {
            self.meter.read(text.len().saturating_mul(pattern.bytes / PATTERN_BYTES_PER_READ))?;
            Ok(Value::Bool(pattern.regex.is_match(text)))
        });
        searched.map_err(|fault| fault.at(&node.range))
    }

    fn eval_bool(&mut self, node: &'v Node) -> Result<bool, EvalError> {
        let value = self.eval(node)?;
        value.as_bool().map_err(|fault| fault.at(&node.range))
    }

    fn eval_list(&mut self, node: &'v Node, items: &'v [Node]) -> Result<Value<'v>, EvalError> {
        let bytes = items.len().saturating_mul(SCALAR_BYTES);
        self.meter.make(bytes).map_err(|fault| fault.at(&node.range))?;
        let items = items.iter().map(|item| self.eval(item)).collect::<Result<Vec<_>, _>>()?;
        Ok(Value::List(Rc::new(items)))
    }

    fn eval_map(&mut self, node: &'v Node, entries: &'v [(Node, Node)]) -> Result<Value<'v>, EvalError> {
        let mut map = BTreeMap::new();
        for (key_node, value) in entries {
            let key = self.eval(key_node)?;
            let key = key.as_text().map_err(|fault| fault.at(&key_node.range))?;
            let bytes = key.len().saturating_add(2 * SCALAR_BYTES);
            self.meter.make(bytes).map_err(|fault| fault.at(&node.range))?;
            let key = key.to_owned();
            if map.contains_key(&key) {
                return Err(EvalFault::DuplicateKey { key }.at(&key_node.range));
            }
            let value = self.eval(value)?;
            map.insert(key, value);
        }
        Ok(Value::Map(Rc::new(map)))
    }

    fn eval_comprehension(
        &mut self,
        kind: Comprehension,
        range: &'v Node,
        filter: Option<&'v Node>,
        body: &'v Node,
    ) -> Result<Value<'v>, EvalError> {
        let at = |fault: EvalFault| fault.at(&range.range);
        let over = self.eval(range)?;
        let over = self.as_list(over).map_err(at)?;
        let mut made = Vec::new();
        let mut hits: usize = 0;
        for index in 0..over.list_len().unwrap_or_default() {
            self.meter.item().map_err(at)?;
            let item = over.element(index).map_err(at)?.unwrap_or(Value::Null);
            self.locals.push(item.clone());
            let kept = match filter {
                Some(filter) => self.eval_bool(filter),
                None => Ok(true),
            };
            let value = match kept {
                Ok(true) => self.eval(body).map(Some),
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            };
            self.locals.pop();
            let Some(value) = value? else { continue };
            if kind == Comprehension::Map {
                self.meter.make(SCALAR_BYTES).map_err(at)?;
                made.push(value);
                continue;
            }
            let hit = value.as_bool().map_err(|fault| fault.at(&body.range))?;
            match kind {
                Comprehension::All if !hit => return Ok(Value::Bool(false)),
                Comprehension::Exists if hit => return Ok(Value::Bool(true)),
                Comprehension::Filter if hit => {
                    self.meter.make(SCALAR_BYTES).map_err(at)?;
                    made.push(item);
                }
                _ => hits += usize::from(hit),
            }
        }
        Ok(match kind {
            Comprehension::All => Value::Bool(true),
            Comprehension::Exists => Value::Bool(false),
            Comprehension::ExistsOne => Value::Bool(hits == 1),
            Comprehension::Filter | Comprehension::Map => Value::List(Rc::new(made)),
        })
    }

    /// Comprehensions over an object see its keys.
    fn as_list(&mut self, value: Value<'v>) -> Result<Value<'v>, EvalFault> {
        match (value.list_len(), value.map_len()) {
            (Some(_), _) => Ok(value),
            (None, Some(len)) => {
                let keys = value.keys();
                let bytes: usize = keys.iter().map(|key| key.len()).sum();
                self.meter.make(bytes.saturating_add(len.saturating_mul(SCALAR_BYTES)))?;
                self.meter.steps(len)?;
                Ok(Value::List(Rc::new(keys.into_iter().map(|key| Value::text(key.to_owned())).collect())))
            }
            (None, None) => Err(value.wrong("list or object")),
        }
    }
}

/// How much of a compiled pattern may look at a byte of text for what reading the byte plainly costs. The smallest
/// pattern so takes one step for 8 bytes of text, the largest 8 steps for each byte.
const PATTERN_BYTES_PER_READ: usize = 2 << 10;

fn from_constant(constant: &Constant) -> Value<'_> {
    match constant {
        Constant::Null => Value::Null,
        Constant::Bool(value) => Value::Bool(*value),
        Constant::Int(value) => Value::Int(*value),
        Constant::Double(value) => Value::Double(*value),
        Constant::Text(text) => Value::Text(Text::Borrowed(text)),
    }
}

fn select<'v>(operand: &Value<'v>, field: &str, absent: Absent) -> Result<Value<'v>, EvalFault> {
    if absent == Absent::NullThroughout && matches!(operand, Value::Null) {
        return Ok(Value::Null);
    }
    match operand.entry(field)? {
        Some(value) => Ok(value),
        None if absent == Absent::Fault => Err(EvalFault::MissingKey { key: field.to_owned() }),
        None => Ok(Value::Null),
    }
}

fn element<'v>(operand: &Value<'v>, index: &Value<'v>, meter: &mut Meter<'_>) -> Result<Value<'v>, EvalFault> {
    let Some(len) = operand.list_len() else {
        let key = index.as_text()?;
        meter.read(key.len())?;
        return operand.entry(key)?.ok_or_else(|| EvalFault::MissingKey { key: key.to_owned() });
    };
    let Value::Int(index) = index else { return Err(index.wrong("integer")) };
    let place = usize::try_from(*index).ok();
    let found = match place {
        Some(place) => operand.element(place)?,
        None => None,
    };
    found.ok_or(EvalFault::IndexOutOfRange { index: *index, len })
}

#[cfg(test)]
mod tests;
