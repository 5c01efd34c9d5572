"""Health checks: `Schedule(Prober(docker), on_change=...)` is run, told what to `want`, and read.

`grammar` reads what a container asks for into a `Check`; the plan hands each tick the complete set
of `Target` to `Schedule.want` and reads `Schedule.outcomes`; what is not wanted is not probed.
"""
