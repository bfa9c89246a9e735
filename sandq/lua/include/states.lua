-- states: the legal changes of state; generated from sandq/model/states.py
local States = {}
States.legal = {
  waiting = { delayed = true, active = true, failed = true, cancelled = true },
  delayed = { waiting = true, failed = true, cancelled = true },
  active = { waiting = true, delayed = true, completed = true, failed = true, cancelled = true },
  completed = { waiting = true },
  failed = { waiting = true, cancelled = true },
  cancelled = { waiting = true },
}
