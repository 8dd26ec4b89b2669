# a, as cartloader 0.1.0 imports it. From any directory, with GNU make 4.2 or newer:
#   make -f '/work/main/~/a.mk'
# A target is made anew when a file that it comes from is newer, or when its command is another one than the last time,
# which the files a.mk.* beside it remember.

CARTLOADER = /work/main/.venv/bin/cartloader
EQUALS := =

ifneq ($(origin CARTLOADER_INSIDE),command line)

.PHONY: all enter a.geotif.tif a.pmtiles a.json a_assets.json
all a.geotif.tif a.pmtiles a.json a_assets.json: enter
enter:
	@mkdir -p /tmp/pytest-of-root/pytest-22/test_the_command_line_knows_th0/map && cd /tmp/pytest-of-root/pytest-22/test_the_command_line_knows_th0/map && \
	$(MAKE) --no-print-directory -f '/work/main/~/a.mk' CARTLOADER_INSIDE=1 $(or $(MAKECMDGOALS),all)

else

.PHONY: all FORCE
all: a.geotif.tif a.pmtiles a.json a_assets.json

# the image: rescaled to 8 bits, coloured, placed
a.geotif.tif: /tmp/pytest-of-root/pytest-22/test_the_command_line_knows_th0/a.png a.mk.georeference
	$(CARTLOADER) georeference --in-img=/tmp/pytest-of-root/pytest-22/test_the_command_line_knows_th0/a.png --out-dir=/tmp/pytest-of-root/pytest-22/test_the_command_line_knows_th0/map --img-id=a --georef-bounds=0,0,30,20
ifneq ($(file <a.mk.georeference),9802410b0d82607422d711c34dae47c2)
a.mk.georeference: FORCE
	@printf %s 9802410b0d82607422d711c34dae47c2 > $@
endif

# its tiles
a.pmtiles: a.geotif.tif a.mk.png2pmtiles
	$(CARTLOADER) png2pmtiles --out-dir=/tmp/pytest-of-root/pytest-22/test_the_command_line_knows_th0/map --img-id=a
ifneq ($(file <a.mk.png2pmtiles),88956e9792de2d97971c02c36234a1d4)
a.mk.png2pmtiles: FORCE
	@printf %s 88956e9792de2d97971c02c36234a1d4 > $@
endif
a.json a_assets.json: a.pmtiles
	@test -e $@ || $(CARTLOADER) png2pmtiles --out-dir=/tmp/pytest-of-root/pytest-22/test_the_command_line_knows_th0/map --img-id=a

endif
