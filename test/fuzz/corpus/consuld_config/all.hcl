# c
data_dir = "/x" ports { http = 8501, dns = -1 } node_meta { a = "b" }
service { name = "web" check { args = ["a"] interval = "1s" } }
checks = [{ id = "m" ttl = "10s" notes = <<-EOF
   two
   EOF
}]
bind_addr = "{{ GetInterfaceIP \"lo\" | x }}" /* c */ recursors = ["a", "127.0.0.1"]
watches = [{ type = "key" key = "a" args = ["b"] }]
