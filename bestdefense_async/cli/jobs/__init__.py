"""What commands do, apart from click: each job is shared by commands or too long for one."""
