//! The bare engine: the same component on the same engine without governance, for benchmarks to compare with.

use std::sync::Arc;

use bailiwick_core::capability::{Catalog, InterfaceId, OperationId};
use bailiwick_core::limits::Limits;
use serde_json::Value;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, ResourceType, Val};
use wasmtime::{Engine, Store};

use crate::agent::{HANDLER, RunResult, TaskIn};
use crate::engine::{self, EngineSettings, FUEL_YIELD_INTERVAL};
use crate::gate::{self, Import, Target};
use crate::host::Host;
use crate::{ambient, json, task, types};

/// A component on the bare engine. Every capability gives the same answer at once; nothing is checked or recorded.
pub struct Floor {
    engine: Engine,
    pre: InstancePre<Host>,
    run: ComponentExportIndex,
    limits: Limits,
}

impl Floor {
    /// Compiles and links a component; every capability function answers `reply`.
    ///
    /// # Errors
    /// When it does not compile or link.
    pub fn new(settings: EngineSettings, wasm: &[u8], catalog: &Catalog, reply: &Value) -> Result<Self, String> {
        let text = |error: wasmtime::Error| format!("{error:#}");
        let engine = engine::runner(settings).map_err(text)?;
        let component = Component::new(&engine, wasm).map_err(text)?;
        let mut linker = Linker::new(&engine);
        for (name, import) in component.component_type().imports(&engine) {
            let ComponentItem::ComponentInstance(instance) = import.ty else { continue };
            let id: InterfaceId = name.parse().map_err(|error| format!("{error}"))?;
            let mut target = linker.instance(name).map_err(text)?;
            for (function, item) in instance.exports(&engine) {
                match item.ty {
                    ComponentItem::ComponentFunc(ty) => {
                        let signature = types::signature(&ty)?;
                        match ambient::find(&format!("{}/{}", id.package, id.interface), function) {
                            Some(found) => {
                                let import = Arc::new(Import { name: function.into(), signature, target: Target::Ambient(found) });
                                target.func_new_async(function, move |store, _, params, results| {
                                    let import = Arc::clone(&import);
                                    Box::new(async move { gate::pass(store, &import, params, results).await })
                                })
                            }
                            None => {
                                let operation = OperationId { interface: id.clone(), function: function.to_owned() };
                                let known = catalog.get(&operation).ok_or_else(|| format!("unknown operation `{operation}`"))?;
                                let ok = known
                                    .signature
                                    .ok()
                                    .map(|ty| json::to_val(reply, ty))
                                    .transpose()
                                    .map_err(|error| error.to_string())?;
                                target.func_new_async(function, move |_, _, _, results| {
                                    let ok = ok.clone();
                                    Box::new(async move {
                                        if let Some(slot) = results.first_mut() {
                                            *slot = Val::Result(Ok(ok.map(Box::new)));
                                        }
                                        Ok(())
                                    })
                                })
                            }
                        }
                        .map_err(text)?;
                    }
                    ComponentItem::Resource(_) => {
                        let tag = ambient::resource_tag(function);
                        target.resource(function, ResourceType::host_dynamic(tag), |_, _| Ok(())).map_err(text)?;
                    }
                    _ => {}
                }
            }
        }
        let pre = linker.instantiate_pre(&component).map_err(text)?;
        let handler = component.get_export_index(None, HANDLER).ok_or("no handler")?;
        let run = component.get_export_index(Some(&handler), "run").ok_or("no run")?;
        Ok(Self { engine, pre, run, limits: Limits { host_calls: u64::MAX, ..Limits::default() } })
    }

    /// Runs one task: store, instance, call, drop. Gives the length of the output.
    ///
    /// # Errors
    /// When the guest fails.
    pub async fn run(&self, input: &str) -> Result<usize, String> {
        let mut store = Store::new(&self.engine, Host::new(None, self.limits, Vec::new(), 0));
        let work = async {
            task::arm(&mut store, &self.limits)?;
            store.fuel_async_yield_interval(Some(FUEL_YIELD_INTERVAL))?;
            let instance = self.pre.instantiate_async(&mut store).await?;
            let run = instance.get_typed_func::<(TaskIn,), RunResult>(&mut store, self.run)?;
            let task =
                TaskIn { id: "task".into(), run: "run".into(), step: "step".into(), attempt: 1, input: input.to_owned(), deadline: 0 };
            run.call_async(&mut store, (task,)).await
        };
        match work.await {
            Ok((Ok(answer),)) => Ok(answer.output.len()),
            Ok((Err(failure),)) => Err(failure.into_parts().1),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    /// Makes `count` instances that stay alive and idle after one call; gives what keeps them alive.
    ///
    /// # Errors
    /// When one cannot be made.
    pub async fn idle(&self, count: usize, input: &str) -> Result<Idle, String> {
        let mut stores = Vec::new();
        for _ in 0..count {
            let mut store = Store::new(&self.engine, Host::new(None, self.limits, Vec::new(), 0));
            let work = async {
                task::arm(&mut store, &self.limits)?;
                store.fuel_async_yield_interval(Some(FUEL_YIELD_INTERVAL))?;
                let instance = self.pre.instantiate_async(&mut store).await?;
                let run = instance.get_typed_func::<(TaskIn,), RunResult>(&mut store, self.run)?;
                let task = TaskIn { id: "t".into(), run: "r".into(), step: "s".into(), attempt: 1, input: input.to_owned(), deadline: 0 };
                run.call_async(&mut store, (task,)).await
            };
            work.await.map_err(|error| format!("{error:#}"))?.0.map_err(|failure| failure.into_parts().1)?;
            stores.push(store);
        }
        Ok(Idle { _stores: stores })
    }
}

/// Instances that are alive and idle.
pub struct Idle {
    _stores: Vec<Store<Host>>,
}
