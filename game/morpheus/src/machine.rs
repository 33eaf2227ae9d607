//! Runs scripts: the engine's threads, waits and listeners, with everything else left to a [`Host`].
//!
//! A thread of a script is a future that this file polls; `wait` and `waittill` are what it is pending on, and time moves
//! only by [`Machine::advance`]. So a test says when what happens, and an hour of the game takes no time.
//!
//! As in the engine an exception that no `try` catches ends its statement, and not the thread. It is noted
//! ([`Machine::errors`]): a script that is right has none.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::ast::{
    CaseValue, Expression, ExpressionKind, ListenerName, Operator, Script, Statement, StatementKind,
    UnaryOperator,
};
use crate::value::{Entity, Exception, Value};
use crate::{Position, SyntaxError, parse};

/// What is not the language's but the engine's: commands about players, variables of the server, requests.
pub trait Host {
    /// None for a command that there is not.
    fn call(&mut self, machine: &Machine, call: &Call<'_>) -> Option<Result<Value, Exception>>;
}

/// `listener name argument argument`
#[derive(Clone, Copy, Debug)]
pub struct Call<'c> {
    /// `self` of the thread where the script names none.
    pub listener: &'c Value,
    /// In lower case.
    pub name: &'c str,
    pub arguments: &'c [Value],
    /// File of the script that calls.
    pub file: &'c str,
}

/// Statements that may run without a wait between them before the engine's protection against endless loops would act.
const MAX_STATEMENTS: u64 = 2_000_000;

/// How many threads the engine lets start one another.
const MAX_DEPTH: usize = 20;

type Fields = HashMap<Rc<str>, Value>;
type Running = Pin<Box<dyn Future<Output = ()>>>;
type Future1<'f, T> = Pin<Box<dyn Future<Output = T> + 'f>>;

pub struct Machine {
    scripts: RefCell<HashMap<Rc<str>, Rc<Script>>>,
    entities: RefCell<Vec<Option<Fields>>>,
    host: RefCell<Box<dyn Host>>,
    /// Milliseconds since the level began.
    now: Cell<u64>,
    threads: RefCell<Vec<Running>>,
    /// When waiting threads want to go on.
    alarms: RefCell<Vec<u64>>,
    /// How often each event of the level happened that threads can wait for.
    happened: RefCell<HashMap<Vec<u8>, u64>>,
    /// Since the last wait.
    statements: Cell<u64>,
    errors: RefCell<Vec<String>>,
}

/// `game` outlives levels.
const GAME: Entity = Entity(0);
const LEVEL: Entity = Entity(1);

impl Machine {
    pub fn new(host: Box<dyn Host>) -> Rc<Self> {
        Rc::new(Machine {
            scripts: RefCell::default(),
            entities: RefCell::new(vec![Some(Fields::new()), Some(Fields::new())]),
            host: RefCell::new(host),
            now: Cell::new(0),
            threads: RefCell::default(),
            alarms: RefCell::default(),
            happened: RefCell::default(),
            statements: Cell::new(0),
            errors: RefCell::default(),
        })
    }

    /// Makes a script known by its path, in lower case (`global/tracker.scr`).
    pub fn load(&self, file: &str, text: &[u8]) -> Result<(), SyntaxError> {
        let script = Rc::new(parse(text)?);
        self.scripts.borrow_mut().insert(file.into(), script);
        Ok(())
    }

    pub fn spawn_entity(&self) -> Entity {
        let mut entities = self.entities.borrow_mut();
        entities.push(Some(Fields::new()));
        Entity(entities.len() - 1)
    }

    /// From here on it is `NULL` to every script.
    pub fn remove_entity(&self, entity: Entity) {
        self.entities.borrow_mut()[entity.0] = None;
    }

    pub fn set_field(&self, entity: Entity, name: &str, value: Value) {
        if let Some(Some(fields)) = self.entities.borrow_mut().get_mut(entity.0) {
            fields.insert(name.into(), value);
        }
    }

    pub fn field(&self, entity: Entity, name: &str) -> Value {
        let entities = self.entities.borrow();
        let fields = entities.get(entity.0).and_then(Option::as_ref);
        fields.and_then(|fields| fields.get(name).cloned()).unwrap_or_default()
    }

    pub fn game(&self, name: &str) -> Value {
        self.field(GAME, name)
    }

    pub fn level(&self, name: &str) -> Value {
        self.field(LEVEL, name)
    }

    /// Ends every thread and all that belongs to the level, as a new map or a restart does.
    pub fn restart_level(&self) {
        self.threads.borrow_mut().clear();
        self.alarms.borrow_mut().clear();
        self.happened.borrow_mut().clear();
        self.entities.borrow_mut()[LEVEL.0] = Some(Fields::new());
        self.now.set(0);
    }

    /// What scripts raised and nobody caught, each with its file and place.
    pub fn errors(&self) -> Vec<String> {
        self.errors.borrow().clone()
    }

    pub fn seconds(&self) -> f32 {
        self.now.get() as f32 / 1000.0
    }

    /// Starts a thread at a label, or at the start of the file where the label is empty. Its value, where it ends before
    /// it waits for anything.
    pub fn start(self: &Rc<Self>, file: &str, label: &str, of: Value, arguments: &[Value]) -> Option<Value> {
        self.statements.set(0);
        let returned = Rc::new(RefCell::new(None));
        let (slot, machine) = (returned.clone(), self.clone());
        let (file, label): (Rc<str>, Rc<str>) = (file.into(), label.into());
        let arguments = arguments.to_vec();
        self.run(Box::pin(async move {
            match machine.clone().thread(1, file.clone(), label.clone(), of, arguments).await {
                Ok(value) => *slot.borrow_mut() = Some(value),
                Err(Exception(what)) => machine.note_error(&format!("{file}::{label}: {what}")),
            }
        }));
        returned.take()
    }

    /// Lets time pass, and threads go on whose time has come.
    pub fn advance(&self, milliseconds: u64) {
        let end = self.now.get() + milliseconds;
        loop {
            let next = self.alarms.borrow().iter().copied().min().filter(|alarm| *alarm <= end);
            let Some(next) = next else { break };
            self.now.set(next.max(self.now.get()));
            self.alarms.borrow_mut().retain(|alarm| *alarm > next);
            self.poll_threads();
        }
        self.now.set(end);
    }

    /// Wakes those who said `level waittill name`.
    pub fn happen(&self, name: &str) {
        *self.happened.borrow_mut().entry(name.as_bytes().to_vec()).or_default() += 1;
        self.poll_threads();
    }

    fn poll_threads(&self) {
        self.statements.set(0);
        let threads = std::mem::take(&mut *self.threads.borrow_mut());
        for thread in threads {
            self.run(thread);
        }
    }

    fn run(&self, mut thread: Running) {
        let mut context = Context::from_waker(Waker::noop());
        if thread.as_mut().poll(&mut context).is_pending() {
            self.threads.borrow_mut().push(thread);
        }
    }

    fn note_error(&self, error: &str) {
        self.errors.borrow_mut().push(error.to_owned());
    }

    async fn thread(
        self: Rc<Self>,
        depth: usize,
        file: Rc<str>,
        label: Rc<str>,
        of: Value,
        arguments: Vec<Value>,
    ) -> Result<Value, Exception> {
        if depth > MAX_DEPTH {
            return Err(Exception("stack overflow".to_owned()));
        }
        let script = self.scripts.borrow().get(&file).cloned();
        let script = script.ok_or_else(|| Exception(format!("Can't find '{file}'")))?;
        let frame = Frame { machine: self, file, of, locals: RefCell::default(), depth, tries: Cell::new(0) };
        let mut from = 0;
        if !label.is_empty() {
            let is_label = |statement: &Statement| matches!(&statement.kind, StatementKind::Label { name, .. } if *name == label);
            from =
                script.body.iter().position(is_label).ok_or_else(|| {
                    Exception(format!("label '{label}' does not exist in '{}'", frame.file))
                })?;
            frame.bind(&script.body[from], arguments);
        }
        match frame.block(&script.body[from..]).await? {
            Flow::End(value) => Ok(value),
            Flow::Next | Flow::Break | Flow::Continue => Ok(Value::Nil),
        }
    }

    fn call(&self, call: &Call<'_>) -> Result<Value, Exception> {
        let answer = self.host.borrow_mut().call(self, call);
        answer.unwrap_or_else(|| Err(Exception(format!("unknown command: {}", call.name))))
    }
}

enum Flow {
    Next,
    Break,
    Continue,
    End(Value),
}

/// Pending until a moment, or until something has happened.
struct Until<'m, F: Fn(&Machine) -> bool> {
    machine: &'m Machine,
    alarm: Option<u64>,
    is_over: F,
}

impl<F: Fn(&Machine) -> bool> Future for Until<'_, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if (self.is_over)(self.machine) {
            self.machine.statements.set(0);
            return Poll::Ready(());
        }
        if let Some(alarm) = self.alarm {
            let mut alarms = self.machine.alarms.borrow_mut();
            if !alarms.contains(&alarm) {
                alarms.push(alarm);
            }
        }
        Poll::Pending
    }
}

/// One thread's own.
struct Frame {
    machine: Rc<Machine>,
    file: Rc<str>,
    /// `self`
    of: Value,
    locals: RefCell<Fields>,
    /// How many threads started it, one the other.
    depth: usize,
    /// Within how many `try` blocks it is.
    tries: Cell<u32>,
}

impl Frame {
    fn bind(&self, label: &Statement, arguments: Vec<Value>) {
        let StatementKind::Label { parameters, .. } = &label.kind else { return };
        let mut arguments = arguments.into_iter();
        for parameter in parameters {
            if let ExpressionKind::Field { name, .. } = &parameter.kind {
                self.locals.borrow_mut().insert(name.clone(), arguments.next().unwrap_or_default());
            }
        }
    }

    fn block<'f>(&'f self, block: &'f [Statement]) -> Future1<'f, Result<Flow, Exception>> {
        Box::pin(async move {
            for statement in block {
                match self.statement(statement).await {
                    Ok(Flow::Next) => {}
                    Ok(flow) => return Ok(flow),
                    Err(exception) if self.tries.get() > 0 => return Err(exception),
                    Err(Exception(what)) => {
                        let Position { line, column } = statement.position;
                        self.machine.note_error(&format!("{}:{line}:{column}: {what}", self.file));
                    }
                }
            }
            Ok(Flow::Next)
        })
    }

    fn statement<'f>(&'f self, statement: &'f Statement) -> Future1<'f, Result<Flow, Exception>> {
        Box::pin(async move {
            let count = self.machine.statements.get() + 1;
            self.machine.statements.set(count);
            if count > MAX_STATEMENTS {
                if count == MAX_STATEMENTS + 1 {
                    let Position { line, column } = statement.position;
                    let error = format!("{}:{line}:{column}: runs for too long without a wait", self.file);
                    self.machine.note_error(&error);
                }
                return Ok(Flow::End(Value::Nil));
            }
            match &statement.kind {
                StatementKind::Nothing | StatementKind::Label { .. } | StatementKind::Case { .. } => {}
                StatementKind::Block(block) => return self.block(block).await,
                StatementKind::Command { name, arguments } if &**name == "end" => {
                    let value = match arguments.first() {
                        Some(value) => self.value(value).await?,
                        None => Value::Nil,
                    };
                    return Ok(Flow::End(value));
                }
                StatementKind::Command { name, arguments } => {
                    self.command(None, name, arguments).await?;
                }
                StatementKind::Method { listener, name, arguments } => {
                    self.command(Some(listener), name, arguments).await?;
                }
                StatementKind::Assign { target, operator, value } => {
                    let mut value = self.value(value).await?;
                    if let Some(operator) = operator {
                        value = self.value(target).await?.combine(*operator, &value)?;
                    }
                    self.assign(target, value).await?;
                }
                StatementKind::If { condition, then, otherwise } => {
                    if self.value(condition).await?.is_true() {
                        return self.statement_or_error(then).await;
                    } else if let Some(otherwise) = otherwise {
                        return self.statement_or_error(otherwise).await;
                    }
                }
                StatementKind::While { condition, body } => {
                    while self.value(condition).await?.is_true() {
                        match self.statement_or_error(body).await? {
                            Flow::Next | Flow::Continue => {}
                            Flow::Break => break,
                            end @ Flow::End(_) => return Ok(end),
                        }
                    }
                }
                StatementKind::DoWhile { body, condition } => loop {
                    match self.statement_or_error(body).await? {
                        Flow::Next | Flow::Continue => {}
                        Flow::Break => break,
                        end @ Flow::End(_) => return Ok(end),
                    }
                    if !self.value(condition).await?.is_true() {
                        break;
                    }
                },
                StatementKind::For { before, condition, after, body } => {
                    if let Some(before) = before {
                        self.statement(before).await?;
                    }
                    while self.value(condition).await?.is_true() {
                        match self.statement_or_error(body).await? {
                            Flow::Next | Flow::Continue => {}
                            Flow::Break => break,
                            end @ Flow::End(_) => return Ok(end),
                        }
                        self.block(after).await?;
                    }
                }
                StatementKind::Switch { value, body } => {
                    let value = self.value(value).await?;
                    let is_chosen = |statement: &&Statement| match &statement.kind {
                        StatementKind::Case { value: CaseValue::Integer(number) } => {
                            value.equals(&Value::Integer(*number))
                        }
                        StatementKind::Case { value: CaseValue::Text(text) } => {
                            value.equals(&Value::Text(text.clone()))
                        }
                        _ => false,
                    };
                    let is_default = |statement: &&Statement| matches!(&statement.kind, StatementKind::Label { name, .. } if &**name == "default");
                    let place = body.iter().position(|one| is_chosen(&one));
                    let place = place.or_else(|| body.iter().position(|one| is_default(&one)));
                    if let Some(place) = place {
                        match self.block(&body[place..]).await? {
                            Flow::Next | Flow::Break => {}
                            flow @ (Flow::Continue | Flow::End(_)) => return Ok(flow),
                        }
                    }
                }
                StatementKind::Try { body, catch } => {
                    self.tries.set(self.tries.get() + 1);
                    let tried = self.block(body).await;
                    self.tries.set(self.tries.get() - 1);
                    return match tried {
                        Ok(flow) => Ok(flow),
                        Err(_) => self.block(catch).await,
                    };
                }
                StatementKind::Break => return Ok(Flow::Break),
                StatementKind::Continue => return Ok(Flow::Continue),
            }
            Ok(Flow::Next)
        })
    }

    /// As a block of this one statement: what it raises ends nothing else.
    async fn statement_or_error(&self, statement: &Statement) -> Result<Flow, Exception> {
        self.block(std::slice::from_ref(statement)).await
    }

    async fn assign(&self, target: &Expression, value: Value) -> Result<(), Exception> {
        match &target.kind {
            ExpressionKind::Field { of, name } => {
                if matches!(of.kind, ExpressionKind::Listener(ListenerName::Local)) {
                    self.locals.borrow_mut().insert(name.clone(), value);
                    return Ok(());
                }
                let entity = self.entity(&self.value(of).await?, name)?;
                self.machine.set_field(entity, name, value);
                Ok(())
            }
            ExpressionKind::Index { of, index } => {
                let key = self.value(index).await?;
                let mut container = self.value(of).await?;
                container.set_at(key, value)?;
                Box::pin(self.assign(of, container)).await
            }
            _ => Err(Exception("bad lval (expected field or array)".to_owned())),
        }
    }

    /// Who is gone is `NULL`, wherever a script kept them.
    async fn value(&self, expression: &Expression) -> Result<Value, Exception> {
        let value = self.kept_value(expression).await?;
        Ok(match value {
            Value::Listener(Some(entity)) if self.machine.entities.borrow()[entity.0].is_none() => {
                Value::Listener(None)
            }
            value => value,
        })
    }

    fn kept_value<'f>(&'f self, expression: &'f Expression) -> Future1<'f, Result<Value, Exception>> {
        Box::pin(async move {
            Ok(match &expression.kind {
                ExpressionKind::Integer(number) => Value::Integer(*number),
                ExpressionKind::Float(number) => Value::Float(*number),
                ExpressionKind::Text(text) => Value::Text(text.clone()),
                ExpressionKind::Null => Value::Listener(None),
                ExpressionKind::Nil => Value::Nil,
                ExpressionKind::Listener(name) => self.listener(*name)?,
                ExpressionKind::TargetName(name) => {
                    let name = self.value(name).await?;
                    self.engine_call(&self.of, "$", &[name])?
                }
                ExpressionKind::Vector(numbers) => {
                    let mut vector = [0.0; 3];
                    for (number, expression) in vector.iter_mut().zip(numbers.iter()) {
                        *number = self.value(expression).await?.float()?;
                    }
                    Value::Vector(vector)
                }
                ExpressionKind::Field { of, name } => {
                    if matches!(of.kind, ExpressionKind::Listener(ListenerName::Local)) {
                        return Ok(self.locals.borrow().get(name).cloned().unwrap_or_default());
                    }
                    let entity = self.entity(&self.value(of).await?, name)?;
                    if entity == LEVEL && &**name == "time" {
                        Value::Float(self.machine.seconds())
                    } else {
                        self.machine.field(entity, name)
                    }
                }
                ExpressionKind::Size(of) => Value::Integer(self.value(of).await?.size()),
                ExpressionKind::Index { of, index } => {
                    let container = self.value(of).await?;
                    container.at(&self.value(index).await?)?
                }
                ExpressionKind::Array(elements) => Value::Array(self.values(elements).await?.into()),
                ExpressionKind::MakeArray(lines) => {
                    let mut array = Vec::with_capacity(lines.len());
                    for line in lines {
                        let values = self.values(line).await?;
                        array.push(match <[Value; 1]>::try_from(values) {
                            Ok([value]) => value,
                            Err(values) => Value::Array(values.into()),
                        });
                    }
                    Value::Array(array.into())
                }
                ExpressionKind::Unary { operator, operand } => {
                    let operand = self.value(operand).await?;
                    match (operator, &operand) {
                        (UnaryOperator::Not, _) => Value::Integer(i32::from(!operand.is_true())),
                        (UnaryOperator::Minus, Value::Integer(number)) => {
                            Value::Integer(number.wrapping_neg())
                        }
                        (UnaryOperator::Minus, Value::Float(number)) => Value::Float(-number),
                        (UnaryOperator::Complement, Value::Integer(number)) => Value::Integer(!number),
                        _ => {
                            let what = format!("unary '{operator:?}' applied to '{}'", operand.type_name());
                            return Err(Exception(what));
                        }
                    }
                }
                ExpressionKind::Binary { operator, left, right } => {
                    let left = self.value(left).await?;
                    let decided = match operator {
                        Operator::LogicalAnd => !left.is_true(),
                        Operator::LogicalOr => left.is_true(),
                        _ => return left.combine(*operator, &self.value(right).await?),
                    };
                    let holds = if decided { left.is_true() } else { self.value(right).await?.is_true() };
                    Value::Integer(i32::from(holds))
                }
                ExpressionKind::Ternary { condition, then, otherwise } => {
                    let chosen = if self.value(condition).await?.is_true() { then } else { otherwise };
                    self.value(chosen).await?
                }
                ExpressionKind::Call { name, arguments } => self.command(None, name, arguments).await?,
                ExpressionKind::MethodCall { listener, name, arguments } => {
                    self.command(Some(listener), name, arguments).await?
                }
            })
        })
    }

    async fn values(&self, expressions: &[Expression]) -> Result<Vec<Value>, Exception> {
        let mut values = Vec::with_capacity(expressions.len());
        for expression in expressions {
            values.push(self.value(expression).await?);
        }
        Ok(values)
    }

    fn listener(&self, name: ListenerName) -> Result<Value, Exception> {
        match name {
            ListenerName::Game => Ok(Value::Listener(Some(GAME))),
            ListenerName::Level => Ok(Value::Listener(Some(LEVEL))),
            ListenerName::SelfEntity => Ok(self.of.clone()),
            other => Err(Exception(format!("`{other:?}` is not run here"))),
        }
    }

    fn entity(&self, of: &Value, name: &str) -> Result<Entity, Exception> {
        let Value::Listener(entity) = of else {
            return Err(Exception(format!("`.{name}` of a '{}'", of.type_name())));
        };
        let is_there = |entity: &Entity| self.machine.entities.borrow()[entity.0].is_some();
        entity.filter(is_there).ok_or_else(|| Exception(format!("`.{name}` applied to NULL listener")))
    }

    async fn command(
        &self,
        listener: Option<&Expression>,
        name: &str,
        arguments: &[Expression],
    ) -> Result<Value, Exception> {
        let name = name.to_ascii_lowercase();
        let arguments = self.values(arguments).await?;
        let listener = match listener {
            Some(listener) => {
                let listener = self.value(listener).await?;
                self.entity(&listener, &name)?;
                listener
            }
            None => self.of.clone(),
        };
        let first = arguments.first().cloned().unwrap_or_default();
        match name.as_str() {
            "thread" | "exec" => {
                let (file, label) = self.target(&first)?;
                self.check_label(&file, &label)?;
                let (machine, depth) = (self.machine.clone(), self.depth + 1);
                self.machine.run(Box::pin(async move {
                    let thread = machine.clone().thread(
                        depth,
                        file.clone(),
                        label.clone(),
                        listener,
                        arguments[1..].to_vec(),
                    );
                    if let Err(Exception(what)) = thread.await {
                        machine.note_error(&format!("{file}::{label}: {what}"));
                    }
                }));
                Ok(Value::Nil)
            }
            "waitthread" | "waitexec" => {
                let (file, label) = self.target(&first)?;
                Box::pin(self.machine.clone().thread(
                    self.depth + 1,
                    file,
                    label,
                    listener,
                    arguments[1..].to_vec(),
                ))
                .await
            }
            "wait" => {
                // A frame takes 50 ms; a thread goes on in one.
                let milliseconds = (f64::from(first.float()?.max(0.0)) * 1000.0).round() as u64;
                let until = self.machine.now.get() + milliseconds.max(1);
                let is_over = move |machine: &Machine| machine.now.get() >= until;
                Until { machine: &self.machine, alarm: Some(until), is_over }.await;
                Ok(Value::Nil)
            }
            "waittill" => {
                let event = first.text().to_vec();
                let count = |machine: &Machine| machine.happened.borrow().get(&event).copied().unwrap_or(0);
                let before = count(&self.machine);
                Until {
                    machine: &self.machine,
                    alarm: None,
                    is_over: |machine: &Machine| count(machine) > before,
                }
                .await;
                Ok(Value::Nil)
            }
            "typeof" => Ok(first.type_name().into()),
            "int" => Ok(Value::Integer(first.integer()?)),
            "float" => Ok(Value::Float(first.float()?)),
            "string" => Ok(Value::Text(first.text())),
            // C's `char` has a sign.
            "chartoint" => Ok(Value::Integer(first.text().first().map_or(0, |byte| i32::from(*byte as i8)))),
            _ => self.engine_call(&listener, &name, &arguments),
        }
    }

    fn engine_call(&self, listener: &Value, name: &str, arguments: &[Value]) -> Result<Value, Exception> {
        self.machine.call(&Call { listener, name, arguments, file: &self.file })
    }

    /// What `thread`, `exec` and the like start: a label of this file, a file, or a label of a file.
    fn target(&self, target: &Value) -> Result<(Rc<str>, Rc<str>), Exception> {
        let text = |value: &Value| -> Rc<str> { String::from_utf8_lossy(&value.text()).into() };
        match target {
            Value::Text(name) if name.ends_with(b".scr") => Ok((text(target), "".into())),
            Value::Text(_) => Ok((self.file.clone(), text(target))),
            Value::Array(parts) if parts.len() == 2 => Ok((text(&parts[0]), text(&parts[1]))),
            other => Err(Exception(format!("cannot start a '{}'", other.type_name()))),
        }
    }

    fn check_label(&self, file: &str, label: &str) -> Result<(), Exception> {
        let scripts = self.machine.scripts.borrow();
        let script = scripts.get(file).ok_or_else(|| Exception(format!("Can't find '{file}'")))?;
        let is_label =
            |one: &Statement| matches!(&one.kind, StatementKind::Label { name, .. } if &**name == label);
        match label.is_empty() || script.body.iter().any(is_label) {
            true => Ok(()),
            false => Err(Exception(format!("label '{label}' does not exist in '{file}'"))),
        }
    }
}
