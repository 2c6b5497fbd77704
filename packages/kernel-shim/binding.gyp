{
  "targets": [
    {
      "target_name": "zlr",
      "sources": [
        "native/addon.c",
        "native/addon_hold.c",
        "native/addon_reactor.c",
        "native/books.c",
        "native/children.c",
        "native/files.c",
        "native/hold.c",
        "native/keeper.c",
        "native/outflow.c",
        "native/plan.c",
        "native/reactor.c",
        "native/sockets.c",
        "native/table.c"
      ],
      "defines": ["NAPI_VERSION=8"],
      "cflags": ["-std=c17", "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"],
      "ldflags": ["-Wl,-z,now"]
    }
  ]
}
