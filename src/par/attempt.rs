//! What the `try_*` methods are generic over: results, options and control flow.

use std::ops::ControlFlow;

/// A value that says whether to go on: [`Option`], [`Result`] or [`ControlFlow`].
///
/// It stands in for the trait of the same name in `std::ops`, which is not stable, and cannot be
/// implemented outside of this crate.
pub trait Try: private::Sealed {
    /// What there is when all goes well.
    type Output;
    /// Why to stop.
    type Residual;
    /// Go on.
    fn from_output(output: Self::Output) -> Self;
    /// Stop.
    fn from_residual(residual: Self::Residual) -> Self;
    /// Takes it apart.
    fn branch(self) -> ControlFlow<Self::Residual, Self::Output>;
}

mod private {
    pub trait Sealed {}
    impl<T> Sealed for Option<T> {}
    impl<T, E> Sealed for Result<T, E> {}
    impl<B, C> Sealed for std::ops::ControlFlow<B, C> {}
}

impl<T> Try for Option<T> {
    type Output = T;
    type Residual = ();
    #[inline]
    fn from_output(output: T) -> Self {
        Some(output)
    }
    #[inline]
    fn from_residual((): ()) -> Self {
        None
    }
    #[inline]
    fn branch(self) -> ControlFlow<(), T> {
        match self {
            Some(output) => ControlFlow::Continue(output),
            None => ControlFlow::Break(()),
        }
    }
}

impl<T, E> Try for Result<T, E> {
    type Output = T;
    type Residual = E;
    #[inline]
    fn from_output(output: T) -> Self {
        Ok(output)
    }
    #[inline]
    fn from_residual(error: E) -> Self {
        Err(error)
    }
    #[inline]
    fn branch(self) -> ControlFlow<E, T> {
        match self {
            Ok(output) => ControlFlow::Continue(output),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl<B, C> Try for ControlFlow<B, C> {
    type Output = C;
    type Residual = B;
    #[inline]
    fn from_output(output: C) -> Self {
        ControlFlow::Continue(output)
    }
    #[inline]
    fn from_residual(residual: B) -> Self {
        ControlFlow::Break(residual)
    }
    #[inline]
    fn branch(self) -> ControlFlow<B, C> {
        self
    }
}
