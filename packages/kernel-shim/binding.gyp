{
  "targets": [
    {
      "target_name": "zlr",
      "sources": [
        "native/addon/addon.c",
        "native/addon/addon_exchange.c",
        "native/addon/addon_hold.c",
        "native/addon/addon_keeper.c",
        "native/addon/addon_module.c",
        "native/addon/addon_process.c",
        "native/addon/addon_reactor.c",
        "native/addon/addon_store.c",
        "native/channels/books.c",
        "native/keeper/alone.c",
        "native/keeper/become.c",
        "native/keeper/children.c",
        "native/channels/files.c",
        "native/link/link.c",
        "native/exchange/answer.c",
        "native/exchange/calls.c",
        "native/exchange/chunks.c",
        "native/exchange/digest.c",
        "native/exchange/fields.c",
        "native/exchange/match.c",
        "native/exchange/request.c",
        "native/exchange/talk.c",
        "native/exchange/waiting.c",
        "native/interpose/slots.c",
        "native/module/device.c",
        "native/reactor/hold.c",
        "native/keeper/handover.c",
        "native/keeper/hollow.c",
        "native/keeper/keeper.c",
        "native/keeper/log.c",
        "native/keeper/own.c",
        "native/reactor/outflow.c",
        "native/keeper/plan.c",
        "native/reactor/reactor.c",
        "native/channels/room.c",
        "native/channels/sockets.c",
        "native/keeper/table.c"
      ],
      "defines": ["NAPI_VERSION=8"],
      "cflags": ["-std=c17", "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"],
      "ldflags": ["-Wl,-z,now"]
    }
  ]
}
