//! What a node takes from others: how it is written down, fetched before the body runs, and let go
//! after it.

use super::memory::Memory;
use super::node::{Maybe, Node, NodeId, Take};

/// How an input uses the result of the node that it comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Need {
    Share,
    Take,
    Maybe,
}

pub(super) mod sealed {
    use super::{Memory, Need, NodeId};

    /// How inputs are fetched.
    pub trait Fetch {
        type Args<'r>;

        /// Tells of each node that an input comes from.
        #[doc(hidden)]
        fn each(&self, f: &mut dyn FnMut(NodeId, Use));

        /// # Safety
        /// The nodes that the inputs come from, but for those that may be missing, have succeeded,
        /// and their results are there; this happened before. Each result stays there until
        /// `release`; one that is taken is fetched once.
        #[doc(hidden)]
        unsafe fn fetch<'r>(&self, memory: &'r Memory) -> Self::Args<'r>;

        /// The body has run, and succeeded.
        ///
        /// # Safety
        /// Called once, after `fetch`, whose result is gone.
        #[doc(hidden)]
        unsafe fn release(&self, memory: &Memory);
    }

    /// A need, for the trait above.
    #[derive(Clone, Copy, Debug)]
    pub struct Use(pub(in crate::graph) Need);
}

use sealed::{Fetch, Use};

/// What a node takes from others: a [`Node`] (its result is borrowed), a [`Take`] (by value), a
/// [`Maybe`] (borrowed, if there is one), an array or vector of one of these, or a tuple of up to
/// eight.
///
/// | input | what the body gets |
/// |---|---|
/// | `node` | `&T` |
/// | `node.take()` | `T` |
/// | `node.maybe()` | `Option<&T>` |
/// | `[x, y]` | an array of the above |
/// | `vec![x, y]` | a vector of the above |
/// | `(x, y.take())` | a tuple of the above |
///
/// This trait is sealed.
pub trait Inputs: Fetch + Send + Sync + 'static {}

impl<I: Fetch + Send + Sync + 'static> Inputs for I {}

impl<T: Send + Sync + 'static> Fetch for Node<T> {
    type Args<'r> = &'r T;

    fn each(&self, f: &mut dyn FnMut(NodeId, Use)) {
        f(self.id(), Use(Need::Share));
    }

    unsafe fn fetch<'r>(&self, memory: &'r Memory) -> &'r T {
        // SAFETY: by contract.
        unsafe { memory.borrow(self.id().at()) }
    }

    unsafe fn release(&self, memory: &Memory) {
        // SAFETY: by contract.
        unsafe { memory.release::<T>(self.id().at()) };
    }
}

impl<T: Send + 'static> Fetch for Take<T> {
    type Args<'r> = T;

    fn each(&self, f: &mut dyn FnMut(NodeId, Use)) {
        f(self.0.id(), Use(Need::Take));
    }

    unsafe fn fetch(&self, memory: &Memory) -> T {
        // SAFETY: by contract; nobody else uses it (`freeze` has checked).
        unsafe { memory.take(self.0.id().at()) }
    }

    unsafe fn release(&self, _: &Memory) {}
}

impl<T: Send + Sync + 'static> Fetch for Maybe<T> {
    type Args<'r> = Option<&'r T>;

    fn each(&self, f: &mut dyn FnMut(NodeId, Use)) {
        f(self.0.id(), Use(Need::Maybe));
    }

    unsafe fn fetch<'r>(&self, memory: &'r Memory) -> Option<&'r T> {
        let node = self.0.id().at();
        // SAFETY: it has succeeded, and we have not released it.
        memory.has_succeeded(node).then(|| unsafe { memory.borrow(node) })
    }

    unsafe fn release(&self, memory: &Memory) {
        // SAFETY: by contract. If it comes later it finds one user less.
        unsafe { memory.release::<T>(self.0.id().at()) };
    }
}

impl<I: Fetch, const N: usize> Fetch for [I; N] {
    type Args<'r> = [I::Args<'r>; N];

    fn each(&self, f: &mut dyn FnMut(NodeId, Use)) {
        self.iter().for_each(|input| input.each(f));
    }

    unsafe fn fetch<'r>(&self, memory: &'r Memory) -> Self::Args<'r> {
        // SAFETY: by contract.
        std::array::from_fn(|at| unsafe { self[at].fetch(memory) })
    }

    unsafe fn release(&self, memory: &Memory) {
        // SAFETY: by contract.
        self.iter().for_each(|input| unsafe { input.release(memory) });
    }
}

impl<I: Fetch> Fetch for Vec<I> {
    type Args<'r> = Vec<I::Args<'r>>;

    fn each(&self, f: &mut dyn FnMut(NodeId, Use)) {
        self.iter().for_each(|input| input.each(f));
    }

    unsafe fn fetch<'r>(&self, memory: &'r Memory) -> Self::Args<'r> {
        // SAFETY: by contract.
        self.iter().map(|input| unsafe { input.fetch(memory) }).collect()
    }

    unsafe fn release(&self, memory: &Memory) {
        // SAFETY: by contract.
        self.iter().for_each(|input| unsafe { input.release(memory) });
    }
}

macro_rules! tuple {
    ($($name:ident)+) => {
        #[allow(non_snake_case, reason = "the names of the types")]
        impl<$($name: Fetch),+> Fetch for ($($name,)+) {
            type Args<'r> = ($($name::Args<'r>,)+);

            fn each(&self, f: &mut dyn FnMut(NodeId, Use)) {
                let ($($name,)+) = self;
                $($name.each(f);)+
            }

            unsafe fn fetch<'r>(&self, memory: &'r Memory) -> Self::Args<'r> {
                let ($($name,)+) = self;
                // SAFETY: by contract.
                ($(unsafe { $name.fetch(memory) },)+)
            }

            unsafe fn release(&self, memory: &Memory) {
                let ($($name,)+) = self;
                // SAFETY: by contract.
                $(unsafe { $name.release(memory) };)+
            }
        }
    };
}

tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
tuple!(A B C D E F G);
tuple!(A B C D E F G H);
