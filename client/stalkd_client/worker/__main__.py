"""``python -m stalkd_client.worker`` is ``stalk-worker``."""

from stalkd_client.worker import main

main()
