//! Parts of the world that most successors leave as they are: one copy of each, hashed once.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use foldhash::quality::FixedState;
use foldhash::{HashMap, HashMapExt};

/// A number for a state, or for a part of one. Two that have the same number are taken for the same: among ten million states, the
/// chance that any two are not is one in a hundred thousand.
pub fn hash(part: &(impl Hash + ?Sized)) -> u64 {
    FixedState::default().hash_one(part)
}

/// A part: cloned without a copy, and copied when it is written.
pub struct Shared<T>(Rc<Part<T>>);

#[derive(Clone)]
struct Part<T> {
    value: T,
    /// Known since somebody asked; forgotten with each write.
    hash: Cell<Option<u64>>,
}

impl<T: Hash> Shared<T> {
    pub fn number(&self) -> u64 {
        let part = &self.0;
        part.hash.get().unwrap_or_else(|| {
            let number = hash(&part.value);
            part.hash.set(Some(number));
            number
        })
    }

    /// The very same copy.
    pub fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        let hash = Cell::new(None);
        Self(Rc::new(Part { value, hash }))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        let part = Rc::make_mut(&mut self.0);
        part.hash.set(None);
        &mut part.value
    }
}

impl<T: Hash> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.number());
    }
}

impl<T: Hash> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl<T: Hash> Eq for Shared<T> {}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

/// One copy of everything that was ever put in.
pub struct Pool<T>(HashMap<u64, Shared<T>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Hash> Pool<T> {
    /// The copy that there is of `part`, which is itself if there was none.
    pub fn keep(&mut self, part: Shared<T>) -> Shared<T> {
        self.0.entry(part.number()).or_insert(part).clone()
    }
}
