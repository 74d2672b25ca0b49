"""What time does to memory: jobs and timetable. Empty until the first job lands."""
