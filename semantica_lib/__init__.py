"""Before anything else, also before torch is imported: where compiled code is kept."""

from semantica_lib.files import keep_compiled

keep_compiled()
