// Thumbnails cut from tiles: 1,024 samples in a sheet of 32 x 32, in sample order. Made by vitviz/ui/routes.py.

const TILE_SIDE = 32;
const TILE_IMAGES = TILE_SIDE * TILE_SIDE;
const tileLoads = new Map();

/** The address of the tile that holds a sample. */
function tileAddress(template, index) {
  return template.replace("{tile}", String(Math.floor(index / TILE_IMAGES)));
}

/** Load a tile once -> Promise of whether it is there. */
function loadTile(address) {
  if (!tileLoads.has(address)) {
    tileLoads.set(address, new Promise((resolve) => {
      const image = new Image();
      image.onload = () => resolve(true);
      image.onerror = () => {
        tileLoads.delete(address);
        resolve(false);
      };
      image.src = address;
    }));
  }
  return tileLoads.get(address);
}

/** Show the thumbnail of a sample, `size` CSS pixels wide, as the background of an element. */
function showThumbnail(element, address, index, size) {
  const place = index % TILE_IMAGES;
  const left = (place % TILE_SIDE) * size;
  const top = Math.floor(place / TILE_SIDE) * size;
  element.style.backgroundImage = `url("${address}")`;
  element.style.backgroundSize = `${TILE_SIDE * size}px ${TILE_SIDE * size}px`;
  element.style.backgroundPosition = `-${left}px -${top}px`;
}
