//! Tests that are about more than one module.

mod inputs;
mod proxy;
