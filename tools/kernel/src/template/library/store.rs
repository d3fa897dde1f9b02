//! evcxr's variable store (`evcxr_internal_runtime.rs` of evcxr 0.22), compiled once; only three lines of each generic
//! function are compiled per cell. It makes and reads the same structure as evcxr's own store, so a cell that cargo
//! compiles with that one finds the variables of cells that were linked with this one.

use std::any::{Any, TypeId};
use std::collections::HashMap;

pub const VARIABLE_CHANGED_TYPE: &str = "EVCXR_VARIABLE_CHANGED_TYPE:";
pub const USER_ERROR_OCCURRED: &str = "EVCXR_ERROR_OCCURRED";

pub struct VariableStore {
    variables: HashMap<String, Box<dyn Any + 'static>>,
}

impl VariableStore {
    pub fn put_variable<T: 'static>(&mut self, name: &str, value: T) {
        self.put(name, Box::new(value));
    }

    pub fn check_variable<T: 'static>(&mut self, name: &str) -> bool {
        self.check(name, TypeId::of::<T>())
    }

    pub fn take_variable<T: 'static>(&mut self, name: &str) -> T {
        match self.take(name, TypeId::of::<T>()).downcast() {
            Ok(value) => *value,
            Err(_) => unreachable!("`take` has looked"),
        }
    }

    #[inline(never)]
    fn put(&mut self, name: &str, value: Box<dyn Any>) {
        self.variables.insert(name.to_owned(), value);
    }

    #[inline(never)]
    fn check(&self, name: &str, kind: TypeId) -> bool {
        if let Some(value) = self.variables.get(name)
            && (**value).type_id() != kind
        {
            eprintln!("The type of the variable {name} was redefined, so was lost.");
            println!("{VARIABLE_CHANGED_TYPE}{name}");
            return false;
        }
        true
    }

    #[inline(never)]
    fn take(&mut self, name: &str, kind: TypeId) -> Box<dyn Any> {
        match self.variables.remove(name) {
            Some(value) if (*value).type_id() == kind => value,
            Some(_) => panic!("Variable changed type"),
            None => panic!("Variable '{name}' has gone missing"),
        }
    }
}

#[inline(never)]
pub fn create_variable_store() -> *mut VariableStore {
    Box::into_raw(Box::new(VariableStore { variables: HashMap::new() }))
}
