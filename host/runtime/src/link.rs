//! Links any WIT interface from its type information; every function leads to the gate.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::capability::{Catalog, InterfaceId, Operation, OperationId};
use bailiwick_core::connector::Connector;
use wasmtime::Engine;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, InstancePre, Linker, LinkerInstance, ResourceType};

use crate::ambient;
use crate::gate::{self, Capability, Import, Target};
use crate::host::Host;
use crate::install::InstallProblem;
use crate::types;

/// The connector of each operation.
pub type Routes = BTreeMap<OperationId, Arc<dyn Connector>>;

/// A component with every import linked.
pub(crate) struct Linked {
    pub pre: InstancePre<Host>,
    /// Operations that it imports; the index is the slot.
    pub operations: Vec<Arc<Operation>>,
    /// WASI and task interfaces that it imports, served as ambient functions.
    pub ambient: Vec<String>,
    /// WASI interfaces that it imports beyond that; linked as always denied.
    pub stubs: Vec<String>,
}

/// Links a component. The first of the two checks at install: every import is the task's own, WASI's minimum, a WASI
/// interface (which then has to be a declared stub), or a package that the project knows.
pub(crate) fn link(engine: &Engine, component: &Component, catalog: &Catalog, routes: &Routes) -> Result<Linked, InstallProblem> {
    let mut linker = Linker::new(engine);
    let mut linking = Linking { catalog, routes, operations: Vec::new(), ambient: Vec::new(), stubs: Vec::new() };
    let ty = component.component_type();
    for (name, import) in ty.imports(engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            return Err(InstallProblem::UnknownImport { name: name.to_owned(), help: "only interfaces can be imported".to_owned() });
        };
        let Ok(interface) = name.parse::<InterfaceId>() else {
            return Err(InstallProblem::UnknownImport { name: name.to_owned(), help: "it is no versioned interface".to_owned() });
        };
        let functions: Vec<_> = instance.exports(engine).map(|(name, item)| (name.to_owned(), item.ty)).collect();
        let mut target = linker.instance(name).map_err(|error| InstallProblem::Link(error.to_string()))?;
        linking.interface(&mut target, &interface, functions)?;
    }
    let pre = linker.instantiate_pre(component).map_err(|error| InstallProblem::Link(format!("{error:#}")))?;
    Ok(Linked { pre, operations: linking.operations, ambient: linking.ambient, stubs: linking.stubs })
}

struct Linking<'a> {
    catalog: &'a Catalog,
    routes: &'a Routes,
    operations: Vec<Arc<Operation>>,
    ambient: Vec<String>,
    stubs: Vec<String>,
}

impl Linking<'_> {
    fn interface(
        &mut self,
        target: &mut LinkerInstance<'_, Host>,
        id: &InterfaceId,
        items: Vec<(String, ComponentItem)>,
    ) -> Result<(), InstallProblem> {
        let is_wasi = id.package.starts_with("wasi:");
        let mut denied = false;
        let mut functions = 0_usize;
        for (name, item) in items {
            match item {
                ComponentItem::ComponentFunc(function) => {
                    let import = self.function(id, &name, &function)?;
                    functions += 1;
                    denied |= matches!(import.target, Target::Stub);
                    let import = Arc::new(import);
                    target
                        .func_new_async(&name, move |store, _, params, results| {
                            let import = Arc::clone(&import);
                            Box::new(async move { gate::pass(store, &import, params, results).await })
                        })
                        .map_err(|error| InstallProblem::Link(error.to_string()))?;
                }
                ComponentItem::Resource(_) if is_wasi => {
                    // Dropping a handle frees nothing: reps are constants.
                    let tag = ambient::resource_tag(&name);
                    target
                        .resource(&name, ResourceType::host_dynamic(tag), |_, _| Ok(()))
                        .map_err(|error| InstallProblem::Link(error.to_string()))?;
                }
                ComponentItem::Type(_) => {}
                _ => {
                    let help = "capabilities consist of functions and value types; resources are not supported".to_owned();
                    return Err(InstallProblem::UnknownImport { name: format!("{id} {name}"), help });
                }
            }
        }
        let is_task = id.to_string() == ambient::TASK_INTERFACE;
        if is_wasi && denied {
            self.stubs.push(id.to_string());
        } else if (is_wasi || is_task) && functions > 0 {
            self.ambient.push(id.to_string());
        }
        Ok(())
    }

    fn function(&mut self, id: &InterfaceId, name: &str, function: &ComponentFunc) -> Result<Import, InstallProblem> {
        let operation_id = OperationId { interface: id.clone(), function: name.to_owned() };
        let full: Arc<str> = operation_id.to_string().into();
        let signature =
            types::signature(function).map_err(|message| InstallProblem::UnknownImport { name: full.to_string(), help: message })?;
        let unversioned = format!("{}/{}", id.package, id.interface);
        let known_version = id.package.starts_with("wasi:") && id.version.as_deref().is_some_and(|version| version.starts_with("0.2."))
            || id.to_string() == ambient::TASK_INTERFACE;
        let target = match ambient::find(&unversioned, name) {
            Some(found) if known_version => Target::Ambient(found),
            _ if id.package.starts_with("wasi:") => Target::Stub,
            _ => Target::Capability(self.capability(&operation_id, &signature)?),
        };
        Ok(Import { name: full, signature, target })
    }

    fn capability(&mut self, id: &OperationId, signature: &bailiwick_core::signature::Signature) -> Result<Capability, InstallProblem> {
        let Some(operation) = self.catalog.get(id) else {
            let known = self.catalog.iter().map(|operation| &*operation.full);
            let help = bailiwick_core::suggest::help(&id.to_string(), known.collect::<Vec<_>>());
            return Err(InstallProblem::UnknownImport { name: id.to_string(), help });
        };
        if operation.signature != *signature {
            return Err(InstallProblem::OtherType { name: id.to_string() });
        }
        let slot = self.operations.len();
        self.operations.push(Arc::clone(operation));
        Ok(Capability { operation: Arc::clone(operation), connector: self.routes.get(id).cloned(), slot })
    }
}
