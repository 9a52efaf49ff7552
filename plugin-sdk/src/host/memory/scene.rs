//! What the host functions of a thread work on. Outside a phase there is nothing.

use std::cell::RefCell;
use std::rc::Rc;

use super::facts::Facts;
use super::world::World;

/// What the host functions of this thread work on.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) world: Rc<World>,
    pub(crate) exchange: Option<Rc<RefCell<Facts>>>,
}

thread_local! {
    static SCENE: RefCell<Option<Scene>> = const { RefCell::new(None) };
}

/// Runs `phase` in a scene, and leaves it whatever happens.
pub(crate) fn enter<T>(scene: Scene, phase: impl FnOnce() -> T) -> T {
    struct Leave(Option<Scene>);
    impl Drop for Leave {
        fn drop(&mut self) {
            SCENE.set(self.0.take());
        }
    }
    let _leave = Leave(SCENE.replace(Some(scene)));
    phase()
}

pub(super) fn world<T>(act: impl FnOnce(&World) -> T) -> Option<T> {
    let world = SCENE.with_borrow(|scene| scene.as_ref().map(|scene| Rc::clone(&scene.world)))?;
    Some(act(&world))
}

pub(super) fn exchange<T: Default>(act: impl FnOnce(&mut Facts) -> T) -> T {
    let exchange =
        SCENE.with_borrow(|scene| scene.as_ref().and_then(|scene| scene.exchange.clone()));
    exchange.map_or_else(T::default, |facts| act(&mut facts.borrow_mut()))
}
