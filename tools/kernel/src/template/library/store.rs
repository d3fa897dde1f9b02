//! evcxr's variable store (`evcxr_internal_runtime.rs` of evcxr 0.22), compiled once; only three lines of each generic
//! function are compiled per cell. It makes and reads the same structure as evcxr's own store, so a cell that cargo
//! compiles with that one finds the variables of cells that were linked with this one.
//!
//! A type that a cell declares anew under its old name has the same `TypeId`, whatever the types of its fields are now. So
//! sizes are compared, too: a value that was read as another type would be memory that nobody owns.

use std::any::{Any, TypeId};
use std::collections::HashMap;

pub const VARIABLE_CHANGED_TYPE: &str = "EVCXR_VARIABLE_CHANGED_TYPE:";
pub const USER_ERROR_OCCURRED: &str = "EVCXR_ERROR_OCCURRED";

/// What is known of a type at run time: its identity, size and alignment.
pub type Kind = (TypeId, usize, usize);

pub fn is_of(value: &dyn Any, kind: &Kind) -> bool {
    (value.type_id(), size_of_val(value), align_of_val(value)) == *kind
}

pub struct VariableStore {
    variables: HashMap<String, Box<dyn Any + 'static>>,
}

impl VariableStore {
    pub fn put_variable<T: 'static>(&mut self, name: &str, value: T) {
        self.put(name, Box::new(value));
    }

    pub fn check_variable<T: 'static>(&mut self, name: &str) -> bool {
        self.check(name, &(TypeId::of::<T>(), size_of::<T>(), align_of::<T>()))
    }

    pub fn take_variable<T: 'static>(&mut self, name: &str) -> T {
        match self.take(name, &(TypeId::of::<T>(), size_of::<T>(), align_of::<T>())).downcast() {
            Ok(value) => *value,
            Err(_) => unreachable!("`take` has looked"),
        }
    }

    #[inline(never)]
    fn put(&mut self, name: &str, value: Box<dyn Any>) {
        self.variables.insert(name.to_owned(), value);
    }

    #[inline(never)]
    fn check(&self, name: &str, kind: &Kind) -> bool {
        if let Some(value) = self.variables.get(name)
            && !is_of(&**value, kind)
        {
            eprintln!("The type of the variable {name} was redefined, so was lost.");
            println!("{VARIABLE_CHANGED_TYPE}{name}");
            return false;
        }
        true
    }

    #[inline(never)]
    fn take(&mut self, name: &str, kind: &Kind) -> Box<dyn Any> {
        match self.variables.remove(name) {
            Some(value) if is_of(&*value, kind) => value,
            Some(_) => panic!("Variable changed type"),
            None => panic!("Variable '{name}' has gone missing"),
        }
    }
}

#[inline(never)]
pub fn create_variable_store() -> *mut VariableStore {
    Box::into_raw(Box::new(VariableStore { variables: HashMap::new() }))
}
